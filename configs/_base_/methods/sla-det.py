# Rival: the recipe that the authors of the Large Leukemia Dataset give for
# sparse labels, on our detector. SLADet says what differs from theirs.
model = dict(
    type='mmleuk.SLADet',
    # All numbers are the authors'. Of their 130 epochs 100 learn from the
    # rectangles alone, 20 more use both further losses, and of the last 10
    # all but one the pseudo-label loss: the same shares of the schedule.
    pseudo_start=100 / 130,
    similarity_end=120 / 130,
    pseudo_end=129 / 130,
    pseudo_weight=0.1,
    pseudo_score_thr=0.95,
    similarity_score_thr=0.6,
    nms_score_thr=0.5,
    nms_iou_thr=0.2,
    loss_similarity=dict(
        type='mmleuk.CosineTripletLoss', margin=0.05, loss_weight=0.1
    ),
    similarity_roi_extractor=dict(
        type='mmleuk.RobustSingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=0),
        out_channels=_base_.neck_channels,
        featmap_strides=[8],
    ),
)
