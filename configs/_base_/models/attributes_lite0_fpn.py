# Backbone, neck and attribute branches of detectors of one stage for a CPU.
# What they classify and regress by, and their losses, come from MMDetection.
num_classes = 14

# Frequently modified parameters.
neck_channels = 128
# Strides 4 and 8 of the backbone, and stride 8 of the neck.
roi_channels = 24 + 40 + neck_channels

model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[127] * 3,
        std=[128] * 3,
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='mmleuk.EfficientNetLite',
        arch='lite0',
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        init_cfg=dict(
            type='Pretrained', checkpoint='mmleuk://efficientnet-lite0'
        ),
    ),
    neck=dict(
        type='mmleuk.EarlyFeatureNeck',
        num_early=2,
        # Strides 8, 16 and 32 for the neck, 4 and 8 for the attributes.
        start_level=1,
        neck=dict(
            type='FPN',
            in_channels=[40, 112, 320],
            out_channels=neck_channels,
            num_outs=3,
        ),
    ),
    # Texture is in the fine strides, semantics in the deep levels.
    attribute_source='early+neck',
    attribute_roi_extractor=dict(
        type='mmleuk.RobustGenericRoIExtractor',
        aggregation='concat',
        roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2),
        out_channels=roi_channels,
        featmap_strides=[4, 8, 8],
    ),
    attribute_head=dict(type='mmleuk.AttributeHead', in_channels=roi_channels),
)
