_base_ = '../attribute_rcnn/attr-cascade-rcnn_r50_fpn_1x_lld-sparse-h40x-c1.py'

from mmleuk.configs import mosaic

train_pipeline, train_dataloader = mosaic(_base_)
