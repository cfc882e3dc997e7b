_base_ = '../baselines/ignore-attr-faster-rcnn_lite0_fpn_lld-sparse-h40x-c1.py'

from mmleuk.configs import mosaic

train_pipeline, train_dataloader = mosaic(_base_)
