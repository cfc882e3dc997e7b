_base_ = './attr-faster-rcnn_lite0_fpn_pbc-fields.py'

from mmleuk.configs import cascade

model = cascade(_base_)
