# Copyright (c) mmleuk authors. All rights reserved.
"""A small training with everything random that a real one has."""

import random

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmleuk.engine import load_checkpoints_safely


class CachedNoise:
    """A random transform that remembers earlier samples, as mosaics do."""

    def __init__(self):
        self.cache = []

    def __call__(self, value):
        self.cache.append(value)
        noise = random.random() + float(torch.rand(()))
        noise += np.random.rand()  # noqa: NPY002
        return value + noise + random.choice(self.cache)


class Values(Dataset):
    metainfo = {}

    def __init__(self, size=12):
        self.size = size
        self.pipeline = [CachedNoise()]

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        value = float(index)
        for transform in self.pipeline:
            value = transform(value)
        return dict(inputs=torch.tensor(value), data_samples=index)


class Wobbly(BaseModel):
    """Draws in its forward pass, as samplers of RoIs do."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        # Makes checkpoints larger than logs.
        self.register_buffer('ballast', torch.zeros(250_000))

    def forward(self, inputs, data_samples=None, mode='loss'):
        x = torch.stack(inputs)[:, None]
        kept = torch.rand(len(x)) < 0.7
        return dict(loss=(self.linear(x)[:, 0] * kept).pow(2).mean() / 1e3)


def build_runner(
    work_dir, num_workers=0, max_epochs=4, resume=False, hooks=(), seed=True
):
    load_checkpoints_safely()
    default_hooks = dict(
        checkpoint=dict(
            type='mmleuk.AtomicCheckpointHook', interval=1, max_keep_ckpts=1
        )
    )
    if seed:
        default_hooks.update(epoch_seed=dict(type='mmleuk.EpochSeedHook'))
    return Runner(
        Wobbly(),
        str(work_dir),
        train_dataloader=dict(
            dataset=Values(),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
            batch_size=2,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=4)],
        default_hooks=default_hooks,
        custom_hooks=list(hooks),
        randomness=dict(seed=3),
        resume=resume,
        default_scope='mmdet',
        experiment_name=f'{work_dir.name}-{random.random()}',
    )
