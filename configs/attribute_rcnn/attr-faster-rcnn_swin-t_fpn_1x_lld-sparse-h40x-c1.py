_base_ = [
    '../_base_/models/attr-faster-rcnn_swin-t_fpn.py',
    '../_base_/datasets/lld-sparse-h40x-c1.py',
    '../_base_/schedules/schedule_lld_swin.py',
    '../_base_/default_runtime.py',
]
