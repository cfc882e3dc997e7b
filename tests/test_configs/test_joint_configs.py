# Copyright (c) mmleuk authors. All rights reserved.
"""Configs over several data sets, on the data sets themselves."""

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from test_configs import CONFIG_DIR, load

from mmleuk.structures import MISSING

NAMES = [
    f'joint/{name}_lite0_fpn_joint-wbc.py'
    for name in ('faster-rcnn', 'attr-faster-rcnn')
]


ANY_FILM = 'joint/wbc-faster-rcnn_lite0_fpn_any-film.py'


@pytest.fixture(scope='module')
def dataset():
    """The training data of the configs of all fields."""
    return build(load(NAMES[0]).train_dataloader.dataset)


def build(joint):
    """Build a joint dataset, or skip the test if a part is not there."""
    for part in joint.datasets:
        folder = CONFIG_DIR.parent / part.data_root
        if not folder.exists():
            pytest.skip(f'{part.data_root} is not there')
        part.data_root = f'{folder}/'
    return DATASETS.build(joint)


def test_what_is_joined(dataset):
    assert dataset.metainfo['classes'] == ('wbc',)
    has_attributes = []
    for part in dataset.datasets:
        cells = [
            cell
            for index in range(len(part))
            for cell in part.get_data_info(index)['instances']
            if not cell['ignore_flag']
        ]
        assert {cell['bbox_label'] for cell in cells} == {0}
        has_attributes.append(
            any(set(cell['attributes']) != {MISSING} for cell in cells)
        )
    assert has_attributes == [True, True, False, False]
    # Erythrocytes are no cells of this detector.
    assert len(cells) / len(part) < 3


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_a_step_on_a_field_of_each(name, dataset):
    cfg = load(name)
    assert cfg.train_dataloader == load(NAMES[0]).train_dataloader
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    starts = [0, *dataset.cumulative_sizes[:-1]]
    batch = pseudo_collate([dataset[start] for start in starts])
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    losses = model.train().train_step(batch, optim_wrapper)
    assert losses['loss'].isfinite()
    # Of two data sets without attributes nothing is learned about them.
    if 'attr' in name:
        batch = pseudo_collate([dataset[start] for start in starts[2:]])
        losses = model.train_step(batch, optim_wrapper)
        assert losses['loss_attribute'] == 0


def test_any_film():
    cfg = load(ANY_FILM)
    train = build(cfg.train_dataloader.dataset)
    test = build(cfg.test_dataloader.dataset)
    # None of the data sets decides by its number of fields.
    counts = np.diff([0, *train.cumulative_sizes])
    assert counts.max() < 1.25 * counts.min()
    assert len(test.datasets) == len(train.datasets) == 4
    # No image is larger than that of a test.
    for part in train.datasets:
        sample = part[len(part) - 1]
        assert max(sample['inputs'].shape) <= 400
    assert cfg.model.rpn_head.anchor_generator.scales == [4, 8]
    assert 'attribute_head' not in cfg.model.roi_head
