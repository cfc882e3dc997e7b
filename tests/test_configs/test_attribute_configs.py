# Copyright (c) mmleuk authors. All rights reserved.
"""The configs that docs/any_detector.md shows, and the parts they share."""

import re

import pytest
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from test_configs import CONFIG_DIR, drop_checkpoints

PAGE = CONFIG_DIR.parent / 'docs' / 'any_detector.md'
BLOCKS = re.findall(
    r'```python\n# In the folder (\w+) of configs:\n(.*?)```',
    PAGE.read_text(),
    re.DOTALL,
)


def test_there_are_configs_on_the_page():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize('folder, text', BLOCKS)
def test_configs_of_the_page_are_built(folder, text, tmp_path):
    child = tmp_path / 'my_config.py'
    child.write_text(text.replace("'./", f"'{CONFIG_DIR / folder}/"))
    register_all_modules()
    cfg = Config.fromfile(child)
    drop_checkpoints(cfg.model)
    model = MODELS.build(cfg.model)
    assert type(model).__name__.startswith('Attribute')
    channels = cfg.model.attribute_roi_extractor.out_channels
    assert model.attribute_head.convs[0].in_channels == channels


@pytest.mark.parametrize(
    'name',
    ['retinanet_r50_fpn', 'atss_r50_fpn', 'rtmdet_s', 'dino-4scale_r50'],
)
def test_all_but_the_attributes_are_those_of_the_plain_config(name):
    plain = Config.fromfile(CONFIG_DIR / f'mmdet/{name}_lld-h100x-c1.py')
    ours = Config.fromfile(
        CONFIG_DIR / f'attribute_dense/attr-{name}_lld-h100x-c1.py'
    )
    assert ours.model.type == f'mmleuk.Attribute{plain.model.type}'
    # Does nothing to fields of 640 px.
    ours.model.data_preprocessor.pop('pad_size_divisor', None)
    plain.model.data_preprocessor.pop('pad_size_divisor', None)
    for key, value in plain.model.items():
        assert key == 'type' or ours.model[key] == value
    for key in set(plain) - {'model'}:
        assert ours[key] == plain[key]


def test_lite0_configs_share_head_and_losses_with_the_plain_one():
    plain = Config.fromfile(
        CONFIG_DIR / '_base_/models/retinanet_lite0_fpn.py'
    )
    ours = Config.fromfile(
        CONFIG_DIR / '_base_/models/attr-retinanet_lite0_fpn.py'
    )
    for key in ('bbox_head', 'train_cfg', 'test_cfg', 'data_preprocessor'):
        assert ours.model[key] == plain.model[key]


def test_a_miner_has_the_attributes_of_the_detector(tmp_path):
    base = tmp_path / 'base.py'
    parent = CONFIG_DIR / 'attribute_dense'
    base.write_text(
        f"_base_ = '{parent}/attr-retinanet_lite0_fpn_pbc-fields.py'\n"
        "attributes = [dict(name='a', values=['b', 'c'])]\n"
        'model = dict(attribute_head=dict(attributes=attributes))\n'
    )
    child = tmp_path / 'mined.py'
    child.write_text(
        f"_base_ = '{base}'\n"
        'from mmleuk.configs import mined\n'
        'model, train_pipeline, train_dataloader, param_scheduler, '
        'custom_hooks = mined(_base_)\n'
    )
    cfg = Config.fromfile(child)
    assert cfg.model.detector.type == 'mmleuk.AttributeRetinaNet'
    assert cfg.model.miner.attributes == cfg.attributes
