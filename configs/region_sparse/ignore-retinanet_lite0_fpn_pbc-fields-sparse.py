# One stage: boxes alone, from the annotated regions of whole fields.
_base_ = [
    '../_base_/models/retinanet_lite0_fpn.py',
    '../_base_/datasets/pbc-fields-sparse.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]
