_base_ = '../mmdet/retinanet_r50_fpn_lld-h100x-c1.py'

from mmleuk.configs import attributes

model = attributes(_base_)
