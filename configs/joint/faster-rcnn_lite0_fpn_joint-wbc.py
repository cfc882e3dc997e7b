_base_ = [
    '../_base_/models/faster-rcnn_lite0_fpn_wbc.py',
    '../_base_/datasets/joint-wbc.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]
