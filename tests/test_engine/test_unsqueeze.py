# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path

import pytest
from mmengine.config import Config

from mmleuk.engine.unsqueeze import apply_unsqueeze

CONFIGS = Path(__file__).parents[2] / 'configs'
SLA_DET = 'baselines/sla-det-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
MINED = 'region_sparse/mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
SOFT_TEACHER = (
    'baselines/soft-teacher-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
WIDE = dict(
    type='mmleuk.UnsqueezeResize',
    scale=(1067, 640),
    keep_ratio=True,
    squeeze=0.6,
)


def find(node, *names):
    """All transforms of these types, without scope, in a part of a config."""
    if isinstance(node, dict):
        if str(node.get('type')).split('.')[-1] in names:
            yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from find(item, *names)


def test_pipelines_of_lld_are_widened_once():
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/lld.py')
    cfg.unsqueeze = 0.6
    apply_unsqueeze(cfg)
    for key in ('val', 'test'):
        pipeline = cfg[f'{key}_dataloader'].dataset.pipeline
        assert pipeline[1] == WIDE
    assert cfg.tta_pipeline[1].transforms[0] == [WIDE]
    (resize,) = find(
        cfg.train_dataloader.dataset, 'UnsqueezeResize', 'RandomResize'
    )
    assert resize.scale == (1067, 640)
    assert resize.squeeze == 0.6
    assert 'unsqueeze' not in cfg
    done = cfg.to_dict()
    # What a run stores may be read again, and be set again.
    cfg.unsqueeze = 0.6
    with pytest.raises(ValueError, match='no pipeline'):
        apply_unsqueeze(cfg)
    apply_unsqueeze(cfg)
    assert cfg.to_dict() == done


@pytest.mark.parametrize('file', [SLA_DET, MINED, SOFT_TEACHER])
def test_pipelines_of_methods_follow(file):
    cfg = Config.fromfile(CONFIGS / file)
    before = cfg.to_dict()
    cfg.unsqueeze = 0.5
    apply_unsqueeze(cfg)
    names = 'Resize', 'UnsqueezeResize', 'RandomResize'
    old, new = list(find(before, *names)), list(find(cfg.to_dict(), *names))
    assert len(old) == len(new) > 3
    for narrow, wide in zip(old, new):
        width, height = narrow['scale']
        assert wide['scale'] == (2 * width, height)
        assert wide['squeeze'] == 0.5
    for narrow, wide in zip(
        find(before, 'CachedRegionMosaic'),
        find(cfg.to_dict(), 'CachedRegionMosaic'),
    ):
        width, height = narrow['img_scale']
        assert wide['img_scale'] == (2 * width, height)


def test_other_forms_of_a_size():
    cfg = Config(
        dict(
            unsqueeze=0.5,
            pipeline=[
                dict(type='Resize', scale=(8, 8), keep_ratio=False),
                dict(
                    type='RandomResize',
                    scale=[(8, 8), (16, 8)],
                    keep_ratio=True,
                ),
                dict(
                    type='RandomChoiceResize',
                    scales=[8, (9, 10)],
                    keep_ratio=True,
                ),
                dict(type='mmdet.CachedMosaic', img_scale=(8, 8)),
            ],
        )
    )
    apply_unsqueeze(cfg)
    stretch, between, choice, mosaic = cfg.pipeline
    # Without keep_ratio an image is stretched to the size as it is.
    assert stretch == dict(type='Resize', scale=(16, 8), keep_ratio=False)
    assert list(map(tuple, between.scale)) == [(16, 8), (32, 8)]
    assert between.resize_type == 'mmleuk.UnsqueezeResize'
    assert list(map(tuple, choice.scales)) == [(16, 8), (18, 10)]
    assert mosaic.img_scale == (16, 8)


def test_off_changes_nothing():
    cfg = Config(dict(pipeline=[dict(type='Resize', scale=(8, 8))]))
    before = cfg.to_dict()
    apply_unsqueeze(cfg)
    cfg.unsqueeze = None
    apply_unsqueeze(cfg)
    assert cfg.to_dict() == before


@pytest.mark.parametrize('value', [0, -0.6, '0.6', (1, 2)])
def test_what_is_no_ratio_is_named(value):
    cfg = Config(dict(unsqueeze=value))
    with pytest.raises(ValueError, match='expected the width over height'):
        apply_unsqueeze(cfg)
