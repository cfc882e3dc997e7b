_base_ = [
    './ignore-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py',
    '../_base_/self_training.py',
]

self_training = dict(
    labeller='crop-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'
)
