_base_ = './attr-faster-rcnn_lite0_fpn.py'

# For few labelled cells: more RoIs of each in training.
#
# A looser NMS of the training proposals leaves two to three times as many on a
# cell: with 75 labelled cells the RoI head learns boxes from too few RoIs
# otherwise. Up to half of the RoIs are positive, so that their total number
# hardly grows. Tests keep MMDetection's NMS.
model = dict(
    roi_head=dict(attribute_max_rois=24),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=600, nms=dict(iou_threshold=0.9)),
        rcnn=dict(sampler=dict(num=192, pos_fraction=0.5)),
    ),
)
