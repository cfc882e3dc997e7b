_base_ = ['./attr-faster-rcnn_lite0_fpn_pbc-fields.py']

from mmleuk.configs import resized

# For a GPU: larger fields, MMDetection's widths, and no frozen layers.
scale = (512, 512)
neck_channels = 256
roi_channels = 24 + 40 + neck_channels

model = dict(
    backbone=dict(frozen_stages=-1),
    neck=dict(neck=dict(out_channels=neck_channels)),
    rpn_head=dict(in_channels=neck_channels, feat_channels=neck_channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=neck_channels),
        bbox_head=dict(in_channels=neck_channels, fc_out_channels=1024),
        attribute_roi_extractor=dict(out_channels=roi_channels),
        attribute_head=dict(in_channels=roi_channels),
    ),
)

train_pipeline = resized(_base_.train_pipeline, scale)
test_pipeline = resized(_base_.test_pipeline, scale)
tta_pipeline = resized(_base_.tta_pipeline, scale)

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
