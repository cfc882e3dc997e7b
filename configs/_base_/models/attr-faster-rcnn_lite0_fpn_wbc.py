_base_ = './attr-faster-rcnn_lite0_fpn.py'

num_classes = 1

# Sides of the boxes (square root of the area: percentiles 1, 50, 99) over
# train fields at 400 px: pig_wbc 15, 21, 32, lld_40x 25, 44, 78,
# wbcatt_fields 53, 80, 118, bccd_fields 56, 127, 169. With MMDetection's scale
# of 8 the smallest anchor has 64 px.
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[3, 5])),
    roi_head=dict(bbox_head=dict(num_classes=num_classes)),
)
