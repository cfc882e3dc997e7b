_base_ = './ignore-attr-faster-rcnn_lite0_fpn_lld-40x-sparse.py'

from mmleuk.configs import sla_det

model = sla_det(_base_)
