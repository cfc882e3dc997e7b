_base_ = [
    '../_base_/models/attr-dino_lite0.py',
    '../_base_/datasets/lld-40x-sparse.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]

from mmleuk.configs import with_regions

model = dict(_delete_=True, **with_regions(_base_.model))
