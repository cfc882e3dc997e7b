_base_ = './ignore-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'

from mmleuk.configs import sla_det

model = sla_det(_base_)
