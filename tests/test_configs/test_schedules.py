# Copyright (c) mmleuk authors. All rights reserved.
"""The schedule of LLD fits one GPU and eight."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

CONFIG_DIR = Path(__file__).parents[2] / 'configs'
NUM_FIELDS = 1546
DATA = 'lld-sparse-h40x-c1'
CONFIGS = [
    f'attribute_rcnn/attr-faster-rcnn_r50_fpn_1x_{DATA}',
    *(
        f'{folder}/{method}-attr-faster-rcnn_{backbone}_fpn_{DATA}'
        for folder, method in [
            ('baselines', 'crop'),
            ('baselines', 'soft-teacher'),
            ('region_sparse', 'mined'),
        ]
        for backbone in ('r50', 'lite0')
    ),
]


def steps_of_an_epoch(cfg, num_gpus):
    loader = cfg.train_dataloader
    source_ratio = loader.sampler.get('source_ratio', [loader.batch_size])
    return math.ceil(NUM_FIELDS / (source_ratio[0] * num_gpus))


def learning_rates(cfg, num_gpus):
    """The learning rate of every step, as MMEngine's runner sets it."""
    init_default_scope('mmdet')
    assert cfg.auto_scale_lr.enable
    batch_size = cfg.train_dataloader.batch_size * num_gpus
    lr = cfg.optim_wrapper.optimizer.lr
    lr *= batch_size / cfg.auto_scale_lr.base_batch_size
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr)
    steps = steps_of_an_epoch(cfg, num_gpus)
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict({'end': cfg.train_cfg.max_epochs}, **scheduler),
            default_args=dict(optimizer=optimizer, epoch_length=steps),
        )
        for scheduler in cfg.param_scheduler
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize('num_gpus', [1, 8])
@pytest.mark.parametrize('name', CONFIGS)
def test_schedule(name, num_gpus):
    cfg = Config.fromfile(CONFIG_DIR / f'{name}.py')
    rates = learning_rates(cfg, num_gpus)
    assert len(rates) >= 2500
    # The rate of MMDetection, or that of schedule_lld_lite0.py, for 16 fields.
    highest = (0.02 if 'r50' in name else 6e-4) * 4 * num_gpus / 16
    assert rates.max() == pytest.approx(highest, rel=0.01)
    assert rates.argmax() < 0.05 * len(rates)
    assert rates[0] <= 0.01 * highest
    assert rates[-1] < 1e-4 * highest
    assert cfg.optim_wrapper.clip_grad


@pytest.mark.parametrize('num_gpus, momentum', [(1, 0.0028), (8, 0.0224)])
def test_momentum_of_the_teacher(num_gpus, momentum):
    cfg = Config.fromfile(CONFIG_DIR / f'{CONFIGS[-2]}.py')
    (hook,) = [h for h in cfg.custom_hooks if 'Teacher' in h.type]
    steps = steps_of_an_epoch(cfg, num_gpus)
    assert 1 / (hook.horizon * steps) == pytest.approx(momentum, rel=0.02)
