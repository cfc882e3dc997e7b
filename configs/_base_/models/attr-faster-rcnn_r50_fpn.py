_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py']

num_classes = 14

model = dict(
    # MMCV's NMS and RoIAlign have no bfloat16 kernels: in such mixed precision
    # this head and the RoI extractors work in float32.
    rpn_head=dict(type='mmleuk.BF16RPNHead'),
    roi_head=dict(
        type='mmleuk.AttributeRoIHead',
        bbox_roi_extractor=dict(type='mmleuk.RobustSingleRoIExtractor'),
        bbox_head=dict(num_classes=num_classes),
        # Texture is in the fine strides: a cell of up to 224 px is pooled at
        # stride 4, at twice the resolution of the box branch.
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
        # Ignored cells and un-annotated area are neither positive nor
        # background; MMDetection's default is not to ignore anything.
        rpn=dict(
            assigner=dict(
                type='mmleuk.RegionMaxIoUAssigner', ignore_iof_thr=0.5
            )
        ),
        rcnn=dict(
            assigner=dict(
                type='mmleuk.RegionMaxIoUAssigner', ignore_iof_thr=0.5
            )
        ),
    ),
)
