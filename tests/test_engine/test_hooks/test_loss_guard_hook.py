# Copyright (c) mmleuk authors. All rights reserved.
"""Driven by a real runner, with a model whose loss the data decide."""

import copy

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import AmpOptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
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


class OverflowingGradient(torch.autograd.Function):
    """The identity, with a gradient of the range of float16."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.where(gradient.abs() <= 65504, torch.inf)


class Product(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.seen.append(float(self.weight.detach()))
        weight = OverflowingGradient.apply(self.weight)
        return dict(loss=(weight * torch.stack(inputs)).sum())


@OPTIM_WRAPPERS.register_module()
class CPUScalerOptimWrapper(AmpOptimWrapper):
    """MMEngine's wrapper on a CPU, which it refuses, in single precision."""

    def __init__(self, init_scale=65536.0, constant=None, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=init_scale)
        self._scale_update_param = constant

    optim_context = OptimWrapper.optim_context


SCALER = dict(type='CPUScalerOptimWrapper')


def train(tmp_path, values, wrapper, max_skipped=0, batch_size=1, **optimizer):
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
            copy.deepcopy(wrapper),
            optimizer=dict(type='SGD', lr=0.5, **optimizer),
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


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('fused', [False, True])
def test_a_scaler_may_look_for_its_scale(tmp_path, count, fused):
    """Two steps are skipped before the scale is small enough."""
    wrapper = dict(SCALER, accumulative_counts=count)
    values = [3.0 * count] * 5 * count
    model = train(tmp_path, values, wrapper, fused=fused)
    assert model.log.count('the step is skipped, and the scale') == 2
    assert 'lowered to 16384' in model.log
    assert float(model.weight) == pytest.approx(1 - 3 * 0.5 * 3 * count)


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('clip', [{}, CLIP])
def test_a_scaler_that_skips_every_step_ends_it(tmp_path, count, clip):
    """The losses are finite, the gradients never, whatever the scale."""
    wrapper = dict(SCALER, accumulative_counts=count, **clip)
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, [1e9] * 100, wrapper, max_skipped=1)
    message = str(error.value)
    # From 65536 to 1 in 16 steps, and then two more.
    assert f'Iteration {18 * count - 1}: the gradient' in message
    assert '2 batches were skipped, expected at most 1' in message
    assert f'{18 * count - 1}.png.' in message


def test_each_skipped_step_counts_at_a_constant_scale(tmp_path):
    wrapper = dict(SCALER, init_scale=512.0, constant=512.0)
    with pytest.raises(FloatingPointError, match='Iteration 1: the gradient'):
        train(tmp_path, [0.1, 1e9, 0.1], wrapper)


@pytest.mark.parametrize('count', [1, 2])
def test_a_bad_loss_counts_at_any_scale(tmp_path, count):
    """Once, also where the step comes after another batch."""
    nan = float('nan')
    wrapper = dict(SCALER, accumulative_counts=count)
    values = [0.1, 0.1, nan, 0.1, nan, 0.1]
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, values, wrapper, max_skipped=1)
    assert f'Iteration {3 + count}: ' in str(error.value)
    assert '4.png' in str(error.value)
    assert '2 batches were skipped' in str(error.value)


def test_a_scaler_that_is_off_skips_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.amp.GradScaler, 'is_enabled', lambda self: False)
    monkeypatch.setattr(
        CPUScalerOptimWrapper, 'backward', OptimWrapper.backward
    )
    monkeypatch.setattr(CPUScalerOptimWrapper, 'step', OptimWrapper.step)
    with pytest.raises(FloatingPointError, match='The weights are invalid'):
        train(tmp_path, [0.1, float('nan')], SCALER, max_skipped=9)


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
