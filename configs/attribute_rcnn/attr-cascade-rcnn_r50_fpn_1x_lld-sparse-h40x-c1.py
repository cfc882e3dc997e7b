_base_ = [
    '../_base_/models/attr-cascade-rcnn_r50_fpn.py',
    '../_base_/datasets/lld-sparse-h40x-c1.py',
    '../_base_/schedules/schedule_lld.py',
    '../_base_/default_runtime.py',
]
