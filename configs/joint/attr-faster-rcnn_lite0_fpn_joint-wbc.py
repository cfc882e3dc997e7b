# lld_40x and wbcatt_fields have attributes, bccd_fields and pig_wbc none:
# their cells teach where cells are, and the attribute branch nothing.
_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn_wbc.py',
    '../_base_/datasets/joint-wbc.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]
