_base_ = '../attribute_dense/attr-dino_lite0_lld-40x.py'

from mmleuk.configs import without_attributes

model = dict(_delete_=True, **without_attributes(_base_.model))
