_base_ = ['./attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py']

checkpoint = 'https://download.openmmlab.com/mmclassification/v0/swin-v2/swinv2-tiny-w8_3rdparty_in1k-256px_20220803-e318968f.pth'  # noqa: E501

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformerV2',
        arch='tiny',
        img_size=256,
        window_size=8,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        # Fields are not a multiple of the window at every stride.
        pad_small_map=True,
        init_cfg=dict(
            type='Pretrained', prefix='backbone.', checkpoint=checkpoint
        ),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
