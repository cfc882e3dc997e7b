_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py']

num_classes = 14

# Frequently modified parameters: half of MMDetection's width and depth, for a
# CPU.
neck_channels = 128
stacked_convs = 2

model = dict(
    data_preprocessor=dict(mean=[127] * 3, std=[128] * 3),
    backbone=dict(
        _delete_=True,
        type='mmleuk.EfficientNetLite',
        arch='lite0',
        out_indices=(1, 2, 3),
        frozen_stages=1,
        init_cfg=dict(
            type='Pretrained', checkpoint='mmleuk://efficientnet-lite0'
        ),
    ),
    neck=dict(
        in_channels=[40, 112, 320],
        out_channels=neck_channels,
        start_level=0,
        # Strides 8, 16 and 32: anchors of 32 to 203 px.
        num_outs=3,
    ),
    bbox_head=dict(
        num_classes=num_classes,
        in_channels=neck_channels,
        feat_channels=neck_channels,
        stacked_convs=stacked_convs,
        anchor_generator=dict(strides=[8, 16, 32]),
    ),
    train_cfg=dict(
        assigner=dict(type='mmleuk.RegionMaxIoUAssigner', ignore_iof_thr=0.5)
    ),
)
