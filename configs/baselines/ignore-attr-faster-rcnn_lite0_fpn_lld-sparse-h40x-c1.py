# Of 500 cells of 40x fields 5 % have no anchor of MMDetection's one scale with
# an IoU of 0.5, but all have one of the model for dense fields.
_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn-dense.py',
    '../_base_/datasets/lld-sparse-h40x-c1.py',
    '../_base_/schedules/schedule_lld_lite0.py',
    '../_base_/default_runtime.py',
]
