# Copyright (c) mmleuk authors. All rights reserved.
"""Detectors of each family of MMDetection, shrunk to seconds on a CPU."""

import copy

from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.hub import get_config
from mmengine.model.utils import revert_sync_batchnorm

NUM_CLASSES = 3
CONFIGS = {
    'Faster R-CNN': 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'Cascade R-CNN': 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco',
    'RetinaNet': 'retinanet/retinanet_r50_fpn_1x_coco',
    'ATSS': 'atss/atss_r50_fpn_1x_coco',
    'GFL': 'gfl/gfl_r50_fpn_1x_coco',
    'DDOD': 'ddod/ddod_r50_fpn_1x_coco',
    'TOOD': 'tood/tood_r50_fpn_1x_coco',
    'TOOD, first epochs': 'tood/tood_r50_fpn_1x_coco',
    'RTMDet': 'rtmdet/rtmdet_s_8xb32-300e_coco',
    'FCOS': 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'YOLOX': 'yolox/yolox_s_8xb8-300e_coco',
    'DETR': 'detr/detr_r50_8xb2-150e_coco',
    'Conditional DETR': 'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'DAB-DETR': 'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'Deformable DETR': (
        'deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco'
    ),
    'DINO': 'dino/dino-4scale_r50_8xb2-12e_coco',
}
# Families whose priors are points of a grid.
POINTS = ('RTMDet', 'FCOS', 'YOLOX')
QUERIES = (
    'DETR',
    'Conditional DETR',
    'DAB-DETR',
    'Deformable DETR',
    'DINO',
)


def sizes(channels):
    """Values of keys, wherever they stand in a config."""
    return dict(
        embed_dims=channels,
        feat_channels=channels,
        fc_out_channels=channels,
        feedforward_channels=channels,
        num_classes=NUM_CLASSES,
        num_feats=channels // 2,
        num_layers=2,
        num_queries=30,
        out_channels=channels,
        stacked_convs=1,
    )


def tiny_config(family):
    """The config of the model of a family."""
    model = get_config(f'mmdet::{CONFIGS[family]}.py').model
    # Some code of MMDetection has the number of channels of DETRs in it.
    channels = 256 if family in QUERIES else 32
    _shrink(model, sizes(channels))
    model.data_preprocessor.pop('batch_augments', None)
    if model.backbone.type == 'ResNet':
        model.backbone.update(
            depth=18, base_channels=8, frozen_stages=-1, norm_eval=False
        )
        divisor = 32
    else:
        model.backbone.update(deepen_factor=0.167, widen_factor=0.125)
        divisor = 4
    neck = model.neck
    neck.in_channels = [size // divisor for size in neck.in_channels]
    for part in ('rpn_head', 'bbox_head'):
        if 'in_channels' in model.get(part, {}):
            model[part].in_channels = channels
    if family == 'DDOD':
        # Deformable convolution needs larger maps.
        model.bbox_head.use_dcn = False
    for head in _as_list(model.get('roi_head', {}).get('bbox_head', [])):
        head.in_channels = channels
    return model


def build(cfg):
    """Build the detector of a config."""
    register_all_modules()
    # DETRHead changes its config.
    model = revert_sync_batchnorm(MODELS.build(copy.deepcopy(cfg)))
    model.init_weights()
    return model.train()


def _as_list(value):
    return value if isinstance(value, list) else [value]


def _shrink(node, values):
    if isinstance(node, (list, tuple)):
        for value in node:
            _shrink(value, values)
    if not isinstance(node, dict):
        return
    if (node.get('init_cfg') or {}).get('type') == 'Pretrained':
        node.init_cfg = None
    for key, value in node.items():
        if key in values:
            node[key] = values[key]
        else:
            _shrink(value, values)
