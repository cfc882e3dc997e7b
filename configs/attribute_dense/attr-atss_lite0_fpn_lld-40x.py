_base_ = [
    '../_base_/models/attr-atss_lite0_fpn.py',
    '../_base_/datasets/lld-40x.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]
