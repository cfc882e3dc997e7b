# Copyright (c) mmleuk authors. All rights reserved.
import logging
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.dataset import (
    BaseDataset,
    ClassBalancedDataset,
    ConcatDataset,
    InfiniteSampler,
    RepeatDataset,
)
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import ConcatDataset as TorchConcatDataset
from torch.utils.data import DataLoader, Subset

from mmleuk.engine import load_checkpoints_safely

OLD, NEW, NEWEST = 1.0, 2.0, 3.0


class Mark:
    """A transform that tells its pipeline."""

    def __init__(self, value):
        self.value = value

    def __call__(self, results):
        return dict(inputs=torch.tensor([self.value]))


class Fields(BaseDataset):
    METAINFO = dict(classes=('cell',))

    def __init__(self):
        super().__init__(pipeline=[Mark(OLD)])

    def load_data_list(self):
        return [dict(img_path=f'{number}.png') for number in range(4)]

    def get_cat_ids(self, idx):
        return [0]


def make_hooks():
    """Two hooks, due at epochs 1 and 2."""
    return [
        HOOKS.build(
            dict(
                type='mmleuk.InnerPipelineSwitchHook',
                switch_epoch=epoch,
                switch_pipeline=[Mark(value)],
            )
        )
        for epoch, value in ((1, NEW), (2, NEWEST))
    ]


@pytest.mark.parametrize('num_workers', [0, 1])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda fields: fields,
        lambda fields: RepeatDataset(fields, times=2),
        lambda fields: ClassBalancedDataset(fields, oversample_thr=0.5),
        lambda fields: ConcatDataset([fields, Fields()]),
        lambda fields: TorchConcatDataset(
            [RepeatDataset(fields, times=2), Subset(Fields(), [1])]
        ),
    ],
)
def test_switches_inside_of_wrappers(wrap, num_workers):
    loader = DataLoader(
        wrap(Fields()),
        batch_size=2,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
    runner = SimpleNamespace(
        train_dataloader=loader, logger=logging.getLogger(__name__)
    )
    hooks = make_hooks()
    for runner.epoch, expected in enumerate((OLD, NEW, NEWEST, NEWEST)):
        for hook in hooks:
            hook.before_train_epoch(runner)
        seen = torch.cat([batch['inputs'] for batch in loader])
        assert (seen == expected).all()


class Model(BaseModel):
    """Notes which pipelines the batches of each epoch came from."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = {}

    def forward(self, inputs, data_samples=None, mode='loss'):
        values = torch.cat(inputs)
        self.seen.setdefault(self.epoch, set()).update(values.tolist())
        return dict(loss=self.weight.sum() * values.sum())


class NoteEpoch(Hook):
    def before_train_epoch(self, runner):
        runner.model.epoch = runner.epoch


def train(work_dir, max_epochs, resume=False):
    """Train by epochs of one batch of two data sets."""
    runner = Runner(
        Model(),
        str(work_dir),
        train_dataloader=dict(
            dataset=ConcatDataset([Fields(), Fields()]),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
            batch_size=2,
            num_workers=0,
            # Wraps the data set, too.
            num_batch_per_epoch=1,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[NoteEpoch(), *make_hooks()],
        resume=resume,
        default_scope='mmdet',
        experiment_name=f'{work_dir.name}-{max_epochs}',
    )
    runner.train()
    return runner.model.seen


def test_a_resumed_run_has_the_new_pipeline(tmp_path, restored_loaders):
    load_checkpoints_safely()
    assert train(tmp_path, 2) == {0: {OLD}, 1: {NEW}}
    assert train(tmp_path, 4, resume=True) == {2: {NEWEST}, 3: {NEWEST}}


@pytest.mark.parametrize(
    'loop, sampler, part',
    [
        (IterBasedTrainLoop.__new__(IterBasedTrainLoop), None, 'IterBased'),
        (None, InfiniteSampler(Fields()), 'InfiniteSampler'),
    ],
)
def test_a_training_without_epochs_is_refused(loop, sampler, part):
    """There the switch would never come."""
    runner = SimpleNamespace(
        train_loop=loop,
        train_dataloader=DataLoader(Fields(), 2, None, sampler),
    )
    message = f'switch_epoch counts epochs.*{part}.* never.*DefaultSampler'
    for hook in make_hooks():
        with pytest.raises(ValueError, match=message):
            hook.before_train(runner)
