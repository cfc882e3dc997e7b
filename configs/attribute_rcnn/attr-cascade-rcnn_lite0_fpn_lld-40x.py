_base_ = '../baselines/full-attr-faster-rcnn_lite0_fpn_lld-40x.py'

from mmleuk.configs import cascade

model = cascade(_base_)
