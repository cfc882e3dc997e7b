# Copyright (c) mmleuk authors. All rights reserved.
"""Configs over several data sets, on the data sets themselves."""

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


@pytest.fixture(scope='module')
def dataset():
    """The training data of all these configs."""
    cfg = load(NAMES[0])
    joint = cfg.train_dataloader.dataset
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
