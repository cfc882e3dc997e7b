_base_ = [
    './ignore-attr-faster-rcnn_lite0_fpn_lld-sparse-h40x-c1.py',
    '../_base_/self_training.py',
]

self_training = dict(
    labeller='crop-attr-faster-rcnn_lite0_fpn_lld-sparse-h40x-c1.py'
)
