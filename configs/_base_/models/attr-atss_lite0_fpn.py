_base_ = './attributes_lite0_fpn.py'

from mmleuk.configs import mmdet_model

model = mmdet_model(
    _base_,
    'mmdet::atss/atss_r50_fpn_1x_coco.py',
    type='mmleuk.AttributeATSS',
    bbox_head=dict(
        num_classes=_base_.num_classes,
        in_channels=_base_.neck_channels,
        feat_channels=_base_.neck_channels,
        stacked_convs=2,
        anchor_generator=dict(strides=[8, 16, 32]),
    ),
)
