_base_ = '../attribute_rcnn/attr-cascade-rcnn_lite0_fpn_pbc-fields.py'

from mmleuk.configs import without_attributes

model = dict(_delete_=True, **without_attributes(_base_.model))
