_base_ = ['./attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py']

checkpoint = 'https://download.openmmlab.com/mmclassification/v0/efficientnet/efficientnet-b0_3rdparty_8xb32-aa_in1k_20220119-8d939117.pth'  # noqa: E501

# EfficientNet of MMDetection itself.
model = dict(
    backbone=dict(
        _delete_=True,
        type='EfficientNet',
        arch='b0',
        drop_path_rate=0.2,
        # Strides 4, 8, 16 and 32.
        out_indices=(2, 3, 4, 5),
        frozen_stages=0,
        norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01),
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained', prefix='backbone.', checkpoint=checkpoint
        ),
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
