_base_ = './attr-faster-rcnn_lite0_fpn_wbc.py'

from mmleuk.configs import without_attributes

model = dict(_delete_=True, **without_attributes(_base_.model))
