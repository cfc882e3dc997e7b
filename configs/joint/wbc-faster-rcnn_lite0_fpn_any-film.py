# White cells of a microscope that no data set shows: docs/new_microscope.md.
_base_ = [
    '../_base_/models/faster-rcnn_lite0_fpn_wbc.py',
    '../_base_/datasets/wbc-any-film.py',
    '../_base_/schedules/schedule_lite0.py',
    '../_base_/default_runtime.py',
]

model = dict(
    # Sides of 32 to 256 px.
    rpn_head=dict(anchor_generator=dict(scales=[4, 8])),
)
train_cfg = dict(max_epochs=6, val_interval=6)
