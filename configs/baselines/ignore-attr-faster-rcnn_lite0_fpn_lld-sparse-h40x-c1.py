_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn-dense.py',
    '../_base_/datasets/lld-sparse-h40x-c1.py',
    '../_base_/schedules/schedule_lld_lite0.py',
    '../_base_/default_runtime.py',
]
