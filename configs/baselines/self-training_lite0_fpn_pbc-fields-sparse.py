# Rival: train on the annotated rectangles alone, label the rest once with that
# model, and train again on everything. Run it by tools/self_train.py.
_base_ = [
    '../_base_/models/attr-faster-rcnn_lite0_fpn.py',
    '../_base_/datasets/pbc-fields-sparse.py',
    '../_base_/schedules/schedule_lite0_12e.py',
    '../_base_/default_runtime.py',
]

self_training = dict(
    labeller='crop_lite0_fpn_pbc-fields-sparse.py',
    # Both stages together see the pixels that every other method sees alone:
    # the schedule of either config is all of them, and of it the labeller
    # takes this share and the second stage the rest, 8 of 12 epochs.
    labeller_share=1 / 3,
    # Of a well-trained labeller's boxes outside the rectangles, 19 in 20 of
    # this score have the right place and type.
    score_thr=0.85,
    iou_thr=0.5,
)
