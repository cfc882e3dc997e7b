# Learns from the annotated regions of whole fields, and nothing from the rest.
_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn-few-cells.py',
    '../_base_/datasets/pbc-fields-sparse.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]
