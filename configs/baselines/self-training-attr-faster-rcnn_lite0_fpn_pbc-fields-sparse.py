_base_ = './ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'

from mmleuk import configs

self_training = configs.self_training(
    labeller='crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
