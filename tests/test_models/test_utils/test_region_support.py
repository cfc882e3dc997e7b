# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.hub import get_config
from torch import nn

from mmleuk.models.utils import heads_without_regions

ASSIGNER = dict(
    type='mmleuk.RegionMaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4
)
# Configs of MMDetection, and what they have at the head.
UNAWARE = {
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco': ('FCOSHead', []),
    'atss/atss_r50_fpn_1x_coco': ('ATSSHead', ['ATSSAssigner']),
    'gfl/gfl_r50_fpn_1x_coco': ('GFLHead', ['ATSSAssigner']),
    'tood/tood_r50_fpn_1x_coco': (
        'TOODHead',
        ['ATSSAssigner', 'ATSSAssigner', 'TaskAlignedAssigner'],
    ),
    'rtmdet/rtmdet_tiny_8xb32-300e_coco': (
        'RTMDetSepBNHead',
        ['DynamicSoftLabelAssigner'],
    ),
    'yolox/yolox_tiny_8xb8-300e_coco': ('YOLOXHead', ['SimOTAAssigner']),
    'dino/dino-4scale_r50_8xb2-12e_coco': ('DINOHead', ['HungarianAssigner']),
    'detr/detr_r50_8xb2-150e_coco': ('DETRHead', ['HungarianAssigner']),
    'free_anchor/freeanchor_r50_fpn_1x_coco': (
        'FreeAnchorRetinaHead',
        ['MaxIoUAssigner'],
    ),
    'retinanet/retinanet_r50_fpn_1x_coco': ('RetinaHead', ['MaxIoUAssigner']),
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco': ('RPNHead', ['MaxIoUAssigner']),
}
# Heads of MMDetection that mmleuk has a subclass for.
OWN_HEADS = ('FCOSHead', 'YOLOXHead', 'DINOHead', 'DETRHead')


def around(assigner, point_size=None, **settings):
    """The config of our assigner around another one."""
    return dict(
        type='mmleuk.RegionAssigner',
        point_size=point_size,
        assigner=dict(type=assigner, **settings),
    )


def build(name, **settings):
    """Build a model of MMDetection without memory for its weights."""
    register_all_modules()
    cfg = get_config(f'mmdet::{name}.py')
    cfg.merge_from_dict(settings)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', UNAWARE)
def test_detectors_of_mmdetection(name):
    head, assigners = UNAWARE[name]
    model = build(name)
    unaware = next(heads_without_regions(model))
    assert (unaware.head, unaware.assigners) == (head, assigners)
    assert unaware.detector == type(model).__name__
    remedy = unaware.remedy
    if head == 'FreeAnchorRetinaHead':
        assert remedy is None
        return
    own_head = f"type='mmleuk.Region{head}'"
    assert (own_head in remedy) == (head in OWN_HEADS)
    assert ('mmleuk.RegionAssigner' in remedy) == (head != 'FCOSHead')
    has_points = head in ('RTMDetSepBNHead', 'YOLOXHead')
    assert ('point_size=8' in remedy) == has_points


@pytest.mark.parametrize(
    'name, settings, unaware',
    [
        (
            'retinanet/retinanet_r50_fpn_1x_coco',
            {'model.train_cfg.assigner': ASSIGNER},
            [],
        ),
        (
            'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
            {'model.train_cfg.rpn.assigner': ASSIGNER},
            ['roi_head'],
        ),
        (
            'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
            {
                'model.train_cfg.rpn.assigner': ASSIGNER,
                'model.train_cfg.rcnn.assigner': ASSIGNER,
            },
            [],
        ),
        # One stage of three.
        (
            'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco',
            {
                'model.train_cfg.rpn.assigner': ASSIGNER,
                'model.train_cfg.rcnn.1.assigner': ASSIGNER,
            },
            ['roi_head'],
        ),
        # One assigner of two.
        (
            'ddod/ddod_r50_fpn_1x_coco',
            {'model.train_cfg.assigner': around('ATSSAssigner', topk=9)},
            ['bbox_head'],
        ),
        (
            'atss/atss_r50_fpn_1x_coco',
            {'model.train_cfg.assigner': around('ATSSAssigner', topk=9)},
            [],
        ),
        # Boxes taken for points, and points for boxes.
        (
            'atss/atss_r50_fpn_1x_coco',
            {
                'model.train_cfg.assigner': around(
                    'ATSSAssigner', topk=9, point_size=8
                )
            },
            ['bbox_head'],
        ),
        (
            'rtmdet/rtmdet_tiny_8xb32-300e_coco',
            {
                'model.train_cfg.assigner': around(
                    'DynamicSoftLabelAssigner', topk=13
                )
            },
            ['bbox_head'],
        ),
        (
            'rtmdet/rtmdet_tiny_8xb32-300e_coco',
            {
                'model.train_cfg.assigner': around(
                    'DynamicSoftLabelAssigner', topk=13, point_size=8
                )
            },
            [],
        ),
        # Their losses look past the assigner.
        (
            'yolox/yolox_tiny_8xb8-300e_coco',
            {'model.train_cfg.assigner': ASSIGNER},
            ['bbox_head'],
        ),
        (
            'free_anchor/freeanchor_r50_fpn_1x_coco',
            {'model.train_cfg.assigner': ASSIGNER},
            ['bbox_head'],
        ),
    ],
)
def test_the_assigner_of_regions(name, settings, unaware):
    settings = {
        key: dict(value, _delete_=True) for key, value in settings.items()
    }
    model = build(name, **settings)
    assert [head.name for head in heads_without_regions(model)] == unaware
    # Inside of another model, twice.
    both = nn.ModuleDict(dict(student=model, teacher=model))
    assert [head.name for head in heads_without_regions(both)] == unaware


def test_a_model_without_a_known_head():
    (unaware,) = heads_without_regions(nn.Linear(1, 1))
    assert (unaware.detector, unaware.remedy) == ('Linear', None)
