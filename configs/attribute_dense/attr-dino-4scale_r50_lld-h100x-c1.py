_base_ = '../mmdet/dino-4scale_r50_lld-h100x-c1.py'

from mmleuk.configs import attributes

model = attributes(_base_)
