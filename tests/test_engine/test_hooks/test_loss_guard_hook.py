# Copyright (c) mmleuk authors. All rights reserved.
"""Driven by a real runner, with a model whose loss the data decide."""

import copy

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from mmleuk.engine.hooks.loss_guard_hook import LossGuardHook, image_names

FINITE = dict(type='mmleuk.FiniteOptimWrapper')
PLAIN = dict(type='OptimWrapper')
CLIP = dict(clip_grad=dict(max_norm=35))
CLIP_VALUE = dict(clip_grad=dict(clip_value=1.0, type='value'))


class Numbers(Dataset):
    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        sample = BaseDataElement(metainfo=dict(img_path=f'{index}.png'))
        value = torch.tensor(float(self.values[index]))
        return dict(inputs=value, data_samples=sample)


class Product(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.seen.append(float(self.weight.detach()))
        return dict(loss=(self.weight * torch.stack(inputs)).sum())


def train(tmp_path, values, wrapper, max_skipped=0, batch_size=1):
    model = Product()
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=dict(
            dataset=Numbers(values),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
            batch_size=batch_size,
            num_workers=0,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(
            copy.deepcopy(wrapper), optimizer=dict(type='SGD', lr=0.5)
        ),
        custom_hooks=[
            dict(type='mmleuk.LossGuardHook', max_skipped=max_skipped)
        ],
        default_scope='mmdet',
        experiment_name=f'{tmp_path.name}-{id(model)}',
    )
    try:
        runner.train()
    finally:
        model.log = next(tmp_path.rglob('*.log')).read_text()
    return model


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('clip', [{}, CLIP, CLIP_VALUE])
def test_the_first_bad_batch_ends_the_training(tmp_path, bad, clip):
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, [0.1, bad, 0.1], {**FINITE, **clip})
    message = str(error.value)
    assert 'Iteration 1: loss is not finite' in message
    assert '1.png' in message
    assert '0.png' not in message
    assert 'The weights are as they were' in message


@pytest.mark.parametrize('clip', [{}, CLIP, CLIP_VALUE])
def test_bad_batches_may_be_skipped(tmp_path, clip):
    nan = float('nan')
    model = train(
        tmp_path, [0.1, nan, 0.1, nan, 0.1], {**FINITE, **clip}, max_skipped=2
    )
    assert model.seen == pytest.approx([1, 0.95, 0.95, 0.9, 0.9])
    assert float(model.weight) == pytest.approx(0.85)
    for number in (1, 3):
        assert f'Images of the batch: {number}.png. It is skipped' in model.log


def test_one_more_than_may_be_ends_it(tmp_path):
    nan = float('nan')
    with pytest.raises(
        FloatingPointError, match='2 batches were skipped, expected at most 1'
    ):
        train(tmp_path, [nan, 0.1, nan], FINITE, max_skipped=1)


def test_without_the_wrapper_the_weights_are_called_spoiled(tmp_path):
    with pytest.raises(FloatingPointError, match='The weights are invalid'):
        train(tmp_path, [0.1, float('nan')], PLAIN, max_skipped=9)


def test_gradients_that_add_up_name_all_their_images(tmp_path):
    wrapper = dict(FINITE, accumulative_counts=2)
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, [0.1, 0.1, float('nan'), 0.1], wrapper)
    assert 'Images of the batch: 2.png, 3.png.' in str(error.value)
    assert 'the gradient is not finite' in str(error.value)


def test_a_good_training_is_that_of_the_plain_wrapper(tmp_path):
    values = [0.1, -0.4, 0.3, 0.2]
    weights = []
    for name, wrapper in (('plain', PLAIN), ('finite', FINITE)):
        (tmp_path / name).mkdir()
        model = train(tmp_path / name, values, {**wrapper, **CLIP})
        weights.append(float(model.weight))
    assert weights[0] == weights[1]


def test_names_of_any_batch():
    samples = [
        BaseDataElement(metainfo=dict(img_path=name)) for name in 'abca'
    ]
    nested = dict(
        inputs=dict(sup=[torch.zeros(2)]),
        data_samples=dict(sup=samples[:2], unsup=[samples[2:]]),
    )
    assert image_names(nested) == ['a', 'b', 'c']
    assert image_names(None) == []


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match='max_skipped=-1'):
        LossGuardHook(max_skipped=-1)
