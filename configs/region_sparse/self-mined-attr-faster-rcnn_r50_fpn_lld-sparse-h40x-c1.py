_base_ = '../baselines/ignore-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'

from mmleuk.configs import self_mined

model = self_mined(_base_)
