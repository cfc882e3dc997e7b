_base_ = './attr-faster-rcnn_lite0_fpn.py'

# For few labelled cells, each of which has to teach as much as it can.
#
# MMDetection's number of RoIs an image, in place of the fast setting's
# quarter. And a looser NMS of the proposals in training, which leaves two to
# three times as many on a cell: of 75 labelled cells the RoI head learns boxes
# from too few. The test's NMS stays MMDetection's.
model = dict(
    roi_head=dict(attribute_max_rois=48),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=600, nms=dict(iou_threshold=0.9)),
        rcnn=dict(sampler=dict(num=512)),
    ),
)
