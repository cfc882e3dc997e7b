_base_ = './attributes_lite0_fpn.py'

from mmleuk.configs import mmdet_model

# Frequently modified parameters. MMDetection has 900 queries, 6 layers of
# encoder and decoder and 2048 channels in them.
num_queries = 100
encoder_layers = 2
decoder_layers = 3
ffn_channels = 512

# DINO's own width.
neck_channels = 256
roi_channels = 24 + 40 + neck_channels
num_levels = 3

model = mmdet_model(
    _base_,
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    type='mmleuk.AttributeDINO',
    num_queries=num_queries,
    num_feature_levels=num_levels,
    encoder=dict(
        num_layers=encoder_layers,
        layer_cfg=dict(
            self_attn_cfg=dict(num_levels=num_levels),
            ffn_cfg=dict(feedforward_channels=ffn_channels),
        ),
    ),
    decoder=dict(
        num_layers=decoder_layers,
        layer_cfg=dict(
            cross_attn_cfg=dict(num_levels=num_levels),
            ffn_cfg=dict(feedforward_channels=ffn_channels),
        ),
    ),
    bbox_head=dict(num_classes=_base_.num_classes),
    test_cfg=dict(max_per_img=100),
)
model.update(
    # Levels of a transformer have to be normalised.
    neck=dict(
        neck=dict(
            _delete_=True,
            type='ChannelMapper',
            in_channels=[40, 112, 320],
            kernel_size=1,
            out_channels=neck_channels,
            act_cfg=None,
            norm_cfg=dict(type='GN', num_groups=32),
            num_outs=num_levels,
        )
    ),
    attribute_roi_extractor=dict(out_channels=roi_channels),
    attribute_head=dict(in_channels=roi_channels),
)
