_base_ = [
    '../_base_/models/attr-rtmdet_lite0_fpn.py',
    '../_base_/datasets/pbc-fields.py',
    '../_base_/schedules/schedule_lite0.py',
    '../_base_/default_runtime.py',
]
