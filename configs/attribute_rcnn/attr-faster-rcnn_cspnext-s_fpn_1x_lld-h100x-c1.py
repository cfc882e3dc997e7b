_base_ = ['./attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py']

checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-s_imagenet_600e.pth'  # noqa: E501

# CSPNeXt: large depthwise kernels as in ConvNeXt, in MMDetection itself.
model = dict(
    # Its weights expect BGR.
    data_preprocessor=dict(
        mean=[103.53, 116.28, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
    ),
    backbone=dict(
        _delete_=True,
        type='CSPNeXt',
        arch='P5',
        deepen_factor=0.33,
        widen_factor=0.5,
        channel_attention=True,
        out_indices=(1, 2, 3, 4),
        norm_cfg=dict(type='BN'),
        norm_eval=True,
        act_cfg=dict(type='SiLU'),
        init_cfg=dict(
            type='Pretrained', prefix='backbone.', checkpoint=checkpoint
        ),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=0.05)
)
