_base_ = './ignore-attr-faster-rcnn_lite0_fpn_synthetic-sparse.py'

from mmleuk.configs import sla_det

model = sla_det(_base_)
