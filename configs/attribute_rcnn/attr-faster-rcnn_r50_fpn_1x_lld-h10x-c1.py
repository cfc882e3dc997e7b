_base_ = [
    '../_base_/models/attr-faster-rcnn_r50_fpn.py',
    '../_base_/datasets/lld-h10x-c1.py',
    '../_base_/schedules/schedule_lld.py',
    '../_base_/default_runtime.py',
]

# White cells of 12 to 20 um are some 20 to 33 px high and 12 to 20 px wide: a
# quarter of 2,050 boxes of 40x fields, of which 5 % to 95 % are 57 to 132 px
# high and 33 to 79 px wide. MMDetection's smallest anchors, 32 px, have an IoU
# below 0.3 with 46 % of the boxes of a quarter, and below 0.5 with 86 %. With
# 12 and 18 px at stride 4 (and 24 and 36 px at stride 8, and so on) 0.2 % are
# below 0.5.
model = dict(rpn_head=dict(anchor_generator=dict(scales=[3, 4.5])))
