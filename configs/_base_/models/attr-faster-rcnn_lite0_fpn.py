_base_ = ['./faster-rcnn_lite0_fpn.py']

# Strides 4 and 8 of the backbone, and stride 8 of the neck.
roi_channels = 24 + 40 + 128

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(
        _delete_=True,
        type='mmleuk.EarlyFeatureNeck',
        num_early=2,
        neck=dict(
            type='FPN',
            in_channels=[24, 40, 112, 320],
            out_channels={{_base_.neck_channels}},
            start_level=1,
            num_outs=3,
        ),
    ),
    # MMCV's NMS and RoIAlign have no bfloat16 kernels: in such mixed precision
    # this head and the RoI extractors work in float32.
    rpn_head=dict(type='mmleuk.BF16RPNHead'),
    roi_head=dict(
        type='mmleuk.AttributeRoIHead',
        bbox_roi_extractor=dict(type='mmleuk.RobustSingleRoIExtractor'),
        attribute_max_rois=12,
        # Texture is in the fine strides, semantics in the deep levels.
        attribute_source='early+neck',
        attribute_roi_extractor=dict(
            type='mmleuk.RobustGenericRoIExtractor',
            aggregation='concat',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2),
            out_channels=roi_channels,
            featmap_strides=[4, 8, 8],
        ),
        attribute_head=dict(
            type='mmleuk.AttributeHead',
            in_channels=roi_channels,
        ),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(type='mmleuk.RegionMaxIoUAssigner')),
        rcnn=dict(assigner=dict(type='mmleuk.RegionMaxIoUAssigner')),
    ),
)
