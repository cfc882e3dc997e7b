# Copyright (c) mmleuk authors. All rights reserved.
"""Small detectors of MMDetection without a RoI head, with attributes."""

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.model.utils import revert_sync_batchnorm

NUM_CLASSES = 3
SCHEMA = [
    dict(name='size', values=('small', 'medium', 'large')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]
SOURCES = dict(
    RetinaNet='retinanet/retinanet_r50_fpn_1x_coco.py',
    ATSS='atss/atss_r50_fpn_1x_coco.py',
    GFL='gfl/gfl_r50_fpn_1x_coco.py',
    FCOS='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    TOOD='tood/tood_r50_fpn_1x_coco.py',
    RTMDet='rtmdet/rtmdet_s_8xb32-300e_coco.py',
    YOLOX='yolox/yolox_s_8xb8-300e_coco.py',
    DINO='dino/dino-4scale_r50_8xb2-12e_coco.py',
    DeformableDETR=('deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'),
)
DETECTORS = list(SOURCES)
NECK_CHANNELS = 32

_RESNET = dict(
    backbone=dict(
        depth=18,
        base_channels=8,
        frozen_stages=-1,
        norm_cfg=dict(requires_grad=True),
    ),
)
# Channels of the backbone by stride.
_RESNET_CHANNELS = [8, 16, 32, 64]
_CSP_CHANNELS = [16, 32, 64, 128]
_CSP = dict(
    backbone=dict(widen_factor=0.125),
    neck=dict(in_channels=_CSP_CHANNELS[1:], out_channels=NECK_CHANNELS),
    bbox_head=dict(in_channels=NECK_CHANNELS, feat_channels=NECK_CHANNELS),
)


def _changes(name):
    """What makes a detector small."""
    if name in ('RTMDet', 'YOLOX'):
        return _CSP
    changes = dict(_RESNET, bbox_head=dict(num_classes=NUM_CLASSES))
    if 'DETR' in name or name == 'DINO':
        layers = dict(
            num_layers=2, layer_cfg=dict(ffn_cfg=dict(feedforward_channels=32))
        )
        return dict(
            changes,
            neck=dict(in_channels=_RESNET_CHANNELS[1:]),
            encoder=layers,
            decoder=layers,
            num_queries=20,
            test_cfg=dict(max_per_img=20),
        )
    return dict(
        changes,
        neck=dict(in_channels=_RESNET_CHANNELS, out_channels=NECK_CHANNELS),
        bbox_head=dict(
            in_channels=NECK_CHANNELS,
            feat_channels=NECK_CHANNELS,
            stacked_convs=1 if name != 'TOOD' else 2,
        ),
    )


def plain_cfg(name):
    """Config of a small detector of MMDetection, for one step at 64 x 96."""
    cfg = Config(dict(model=get_config(f'mmdet::{SOURCES[name]}').model))
    cfg.merge_from_dict(dict(model=_changes(name)))
    model = cfg.model
    model.backbone.init_cfg = None
    model.bbox_head.num_classes = NUM_CLASSES
    model.data_preprocessor.update(batch_augments=None, pad_size_divisor=32)
    return model


def attribute_cfg(name, early=False, schema=SCHEMA, **kwargs):
    """Config of a small detector with attributes."""
    model = plain_cfg(name)
    channels, strides = model.neck.out_channels, [8, 16]
    if early:
        is_csp = name in ('RTMDet', 'YOLOX')
        fine = _CSP_CHANNELS[0] if is_csp else _RESNET_CHANNELS[0]
        has_fine = len(model.neck.in_channels) == 4
        first = 1 if is_csp else 0
        model.backbone.out_indices = tuple(range(first, first + 4))
        model.neck = dict(
            type='mmleuk.EarlyFeatureNeck',
            num_early=1,
            start_level=0 if has_fine else 1,
            neck=model.neck,
        )
        channels, strides = channels + fine, [4, 8]
    model.update(
        type=f'mmleuk.Attribute{name}',
        attribute_source='early+neck' if early else 'neck',
        attribute_roi_extractor=dict(
            type=f'mmleuk.Robust{"Generic" if early else "Single"}'
            'RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=channels,
            featmap_strides=strides,
            **(dict(aggregation='concat') if early else {}),
        ),
        attribute_head=dict(
            type='mmleuk.AttributeHead',
            attributes=schema,
            in_channels=channels,
            num_convs=1,
            conv_channels=8,
            fc_channels=16,
        ),
        **kwargs,
    )
    return model


def build(cfg, seed=0):
    """Build a model of random weights."""
    register_all_modules()
    torch.manual_seed(seed)
    model = revert_sync_batchnorm(MODELS.build(ConfigDict(cfg)))
    model.init_weights()
    if 'RTMDet' in cfg['type']:
        # Of random weights the boxes have negative sides.
        for layer in model.bbox_head.rtm_reg:
            torch.nn.init.constant_(layer.bias, 2.0)
    return model
