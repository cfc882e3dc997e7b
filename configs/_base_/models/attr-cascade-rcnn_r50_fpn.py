_base_ = ['mmdet::_base_/models/cascade-rcnn_r50_fpn.py']

num_classes = 14

# For each stage: spread of the box targets and least IoU of a positive.
stages = [
    dict(stds=[0.1, 0.1, 0.2, 0.2], iou_thr=0.5),
    dict(stds=[0.05, 0.05, 0.1, 0.1], iou_thr=0.6),
    dict(stds=[0.033, 0.033, 0.067, 0.067], iou_thr=0.7),
]

model = dict(
    # MMCV's NMS and RoIAlign have no bfloat16 kernels: in such mixed precision
    # this head and the RoI extractors work in float32.
    rpn_head=dict(type='mmleuk.BF16RPNHead'),
    roi_head=dict(
        type='mmleuk.CascadeAttributeRoIHead',
        bbox_roi_extractor=dict(type='mmleuk.RobustSingleRoIExtractor'),
        bbox_head=[
            dict(
                type='Shared2FCBBoxHead',
                in_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=num_classes,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder',
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=stage['stds'],
                ),
                reg_class_agnostic=True,
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False),
                loss_bbox=dict(type='SmoothL1Loss', beta=1.0),
            )
            for stage in stages
        ],
        attribute_roi_extractor=dict(
            type='mmleuk.RobustSingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8],
            finest_scale=112,
        ),
        # RoIs of one cell overlap. All of up to 128 cost a fifth of a step.
        attribute_max_rois=24,
        attribute_head=dict(type='mmleuk.AttributeHead', in_channels=256),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='mmleuk.RegionMaxIoUAssigner', ignore_iof_thr=0.5
            )
        ),
        rcnn=[
            dict(
                assigner=dict(
                    type='mmleuk.RegionMaxIoUAssigner',
                    pos_iou_thr=stage['iou_thr'],
                    neg_iou_thr=stage['iou_thr'],
                    min_pos_iou=stage['iou_thr'],
                    match_low_quality=False,
                    ignore_iof_thr=0.5,
                ),
                sampler=dict(
                    type='RandomSampler',
                    num=512,
                    pos_fraction=0.25,
                    neg_pos_ub=-1,
                    add_gt_as_proposals=True,
                ),
                pos_weight=-1,
                debug=False,
            )
            for stage in stages
        ],
    ),
)
