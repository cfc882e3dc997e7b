_base_ = './attr-faster-rcnn_lite0_fpn-few-cells.py'

# For fields of some 25 cells, many of them small. Sides of the boxes (square
# root of the area: minimum, median, maximum) over train fields, in pixels of
# the network's input: bccd_fields at 480 px: platelets 14, 30, 54,
# erythrocytes 24, 72, 119, white cells 49, 153, 208; synthetic films of 40x:
# 18, 40, 64.
#
# Tests keep MMDetection's NMS, IoU 0.5 for detections and 0.7 for proposals:
# of 3825 cells of bccd_fields only 14 overlap one of their type by more than
# 0.5, and 2 by more than 0.7. They also keep its 100 detections of an image:
# no train field has more than 35 cells.
model = dict(
    # Anchors of 32 and 48 px at stride 8, and so on. With MMDetection's one
    # scale of 8, 85 % of the platelets and 24 % of the cells of the films have
    # no anchor with an IoU of 0.3; with these 1 % of the platelets and no
    # other cell.
    rpn_head=dict(anchor_generator=dict(scales=[4, 6])),
    train_cfg=dict(rpn_proposal=dict(nms_pre=1000)),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=300)),
)
