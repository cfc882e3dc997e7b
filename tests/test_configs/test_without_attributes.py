# Copyright (c) mmleuk authors. All rights reserved.
"""A config without attributes is the same detector."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from test_configs import CONFIG_DIR, drop_checkpoints

from mmleuk.configs import without_attributes

NAMES = [
    'faster-rcnn_lite0_fpn',
    'cascade-rcnn_lite0_fpn',
    'retinanet_lite0_fpn',
    'atss_lite0_fpn',
    'rtmdet_lite0_fpn',
    'dino_lite0',
]


def config_with_attributes(name):
    (path,) = CONFIG_DIR.rglob(f'*attr-{name}_lld-40x.py')
    return Config.fromfile(path)


def build(cfg):
    register_all_modules()
    drop_checkpoints(cfg.model)
    # Nothing is sure for random weights.
    test_cfg = cfg.model.test_cfg
    test_cfg.get('rcnn', test_cfg).score_thr = 0.0
    return MODELS.build(cfg.model).eval()


@pytest.mark.parametrize('name', NAMES)
def test_boxes_are_those_of_the_detector_with_attributes(name):
    plain_cfg = Config.fromfile(CONFIG_DIR / f'baselines/{name}_lld-40x.py')
    with_attributes = config_with_attributes(name)
    for key in set(plain_cfg) - {'model'}:
        assert plain_cfg[key] == with_attributes[key]
    torch.manual_seed(0)
    model = build(with_attributes)
    plain = build(plain_cfg)
    weights = {
        key.replace('neck.neck.', 'neck.'): value
        for key, value in model.state_dict().items()
        if 'attribute_' not in key
    }
    plain.load_state_dict(weights)
    image = dict(
        inputs=[torch.randint(0, 256, (3, 160, 192), dtype=torch.uint8)],
        data_samples=[
            DetDataSample(
                metainfo=dict(
                    img_shape=(160, 192),
                    ori_shape=(160, 192),
                    scale_factor=(1.0, 1.0),
                    batch_input_shape=(160, 192),
                )
            )
        ],
    )
    with torch.no_grad():
        expected, got = (
            detector.test_step(image)[0].pred_instances
            for detector in (model, plain)
        )
    assert len(expected) > 0
    assert 'attribute_labels' in expected
    assert 'attribute_labels' not in got
    for key in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(got[key], expected[key], rtol=0, atol=0)


def test_a_model_without_attributes_is_refused():
    model = ConfigDict(
        type='FasterRCNN', roi_head=dict(type='StandardRoIHead')
    )
    with pytest.raises(ValueError, match='got FasterRCNN .*StandardRoIHead'):
        without_attributes(model)
