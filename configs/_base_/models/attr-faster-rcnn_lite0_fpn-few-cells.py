_base_ = './attr-faster-rcnn_lite0_fpn.py'

# For few labelled cells, each of which has to teach as much as it can.
#
# A looser NMS of the proposals in training leaves two to three times as many
# on a cell, and the samplers take them: of 75 labelled cells the RoI head
# learns boxes from too few. Half of the RoIs may be positive, so that there
# are not many more of them. Tests keep MMDetection's NMS.
model = dict(
    roi_head=dict(attribute_max_rois=24),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=600, nms=dict(iou_threshold=0.9)),
        rcnn=dict(sampler=dict(num=192, pos_fraction=0.5)),
    ),
)
