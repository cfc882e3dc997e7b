_base_ = '../baselines/ignore-attr-faster-rcnn_lite0_fpn_lld-40x-sparse.py'

from mmleuk.configs import self_mined

model = self_mined(_base_)
