_base_ = ['../baselines/full-attr-faster-rcnn_lite0_fpn_lld-40x.py']

# Strides 4 and 8 of the backbone, and stride 8 of the neck.
roi_channels = 24 + 48 + 128

model = dict(
    backbone=dict(
        arch='lite2',
        init_cfg=dict(checkpoint='mmleuk://efficientnet-lite2'),
    ),
    neck=dict(neck=dict(in_channels=[24, 48, 120, 352])),
    roi_head=dict(
        attribute_roi_extractor=dict(out_channels=roi_channels),
        attribute_head=dict(in_channels=roi_channels),
    ),
)
