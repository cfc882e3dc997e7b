_base_ = ['./attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py']

# Frequently modified parameters.
# An encoder of the DINOv2 family for blood cells, as published: a local file.
checkpoint = 'checkpoints/vit-s14.pth'
# Side of the images that it was trained with: 224 or 518.
img_size = 224
# 0 to 12 freezes the embeddings and so many blocks; -1 freezes nothing.
frozen_stages = -1
# Learning rate of a block over that of the next one.
lr_decay = 0.7

# A patch has 14 px; the pyramid's levels are 1/4 of it to 4 times as wide.
strides = [3.5, 7, 14, 28, 56]
num_blocks = 12

model = dict(
    data_preprocessor=dict(pad_size_divisor=14),
    backbone=dict(
        _delete_=True,
        type='mmleuk.PlainViT',
        arch='small',
        patch_size=14,
        img_size=img_size,
        drop_path_rate=0.1,
        frozen_stages=frozen_stages,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(
        _delete_=True,
        type='mmleuk.SimpleFPN',
        in_channels=384,
        out_channels=256,
        num_outs=5,
    ),
    rpn_head=dict(anchor_generator=dict(strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides[:4]),
        attribute_roi_extractor=dict(featmap_strides=strides[:2]),
    ),
)

# The deeper a block lies, the more slowly it learns. The longest key that fits
# a parameter counts; norms and positions do not decay.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=0.1),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            **{
                f'backbone.blocks.{i}.{part}': dict(
                    lr_mult=lr_decay ** (num_blocks - i), decay_mult=decay
                )
                for i in range(num_blocks)
                for part, decay in (('', 1.0), ('norm', 0.0))
            },
            **{
                f'backbone.{name}': dict(
                    lr_mult=lr_decay ** (num_blocks + 1), decay_mult=decay
                )
                for name, decay in (
                    ('patch_embed', 1.0),
                    ('cls_token', 0.0),
                    ('pos_embed', 0.0),
                )
            },
        },
    ),
)
