# Copyright (c) mmleuk authors. All rights reserved.
"""A Cascade R-CNN has MMDetection's stages, and the rest of its base."""

import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from test_configs import CONFIG_DIR

from mmleuk.configs import cascade

THEIRS = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'


@pytest.mark.parametrize('data', ['lld-40x', 'pbc-fields'])
def test_stages_are_those_of_mmdet(data):
    folder = CONFIG_DIR / 'attribute_rcnn'
    model = Config.fromfile(
        folder / f'attr-cascade-rcnn_lite0_fpn_{data}.py'
    ).model
    expected = get_config(THEIRS).model
    assert model.roi_head.num_stages == expected.roi_head.num_stages
    for key in ('bbox_coder', 'loss_bbox', 'reg_class_agnostic'):
        assert [h[key] for h in model.roi_head.bbox_head] == [
            h[key] for h in expected.roi_head.bbox_head
        ]
    for key in ('pos_iou_thr', 'neg_iou_thr', 'match_low_quality'):
        assert [s.assigner[key] for s in model.train_cfg.rcnn] == [
            s.assigner[key] for s in expected.train_cfg.rcnn
        ]


def test_of_mmdets_faster_rcnn_it_is_mmdets_cascade():
    base = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    # The samples of a stage, and classes of boxes, are those of the base.
    base.merge_from_dict(dict(model=cascade(base)))
    expected = get_config(THEIRS).model
    assert base.model.roi_head == expected.roi_head
    assert base.model.train_cfg.rcnn == expected.train_cfg.rcnn


def test_the_rest_is_that_of_the_base():
    folder = CONFIG_DIR / 'attribute_rcnn'
    base, ours = (
        Config.fromfile(folder / f'attr-{name}_lite0_fpn_pbc-fields.py')
        for name in ('faster-rcnn', 'cascade-rcnn')
    )
    changed = {'type', 'roi_head', 'train_cfg'}
    for key in set(base.model) - changed:
        assert ours.model[key] == base.model[key]
    for key in set(base) - {'model'}:
        assert ours[key] == base[key]
    assert ours.model.roi_head.type == 'mmleuk.CascadeAttributeRoIHead'
    for key in set(base.model.roi_head) - {'type', 'bbox_head'}:
        assert ours.model.roi_head[key] == base.model.roi_head[key]
