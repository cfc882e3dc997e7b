# Copyright (c) mmleuk authors. All rights reserved.
import os
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmleuk.engine.safe_globals import allow_own_checkpoints

needs_weights_only = pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'),
    reason='torch before 2.6 loads everything by default',
)


@pytest.fixture(autouse=True)
def restored_globals():
    """Gives each test, and whatever follows, torch as it was."""
    if not hasattr(torch.serialization, 'safe_globals'):
        yield
        return
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


class FieldsDataset(BaseDataset):
    def load_data_list(self):
        return [dict(value=float(index)) for index in range(4)]

    def prepare_data(self, index):
        return torch.tensor([self.get_data_info(index)['value']])


class LineModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = (
            torch.stack(list(inputs)) if isinstance(inputs, list) else (inputs)
        )
        output = self.norm(self.linear(inputs))
        return dict(loss=(output - inputs).square().mean())

    def train_step(self, data, optim_wrapper):
        with optim_wrapper.optim_context(self):
            losses = self(data)
        loss, log_vars = self.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return log_vars


def run_training(work_dir, epochs, resume=False):
    """Trains through MMEngine's runner with all that a checkpoint may hold."""
    metainfo = ConfigDict(
        classes=('none', 'myeloblast'),
        palette=[(1, 2, 3), (4, 5, 6)],
        attributes=[dict(name='nucleolus', values=('hidden', 'prominent'))],
    )
    dataset = FieldsDataset(
        metainfo=metainfo, serialize_data=False, lazy_init=False
    )
    runner = Runner(
        model=LineModel(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=dataset,
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=0.01),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='MultiStepLR', milestones=[1]),
        ],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[EMAHook()],
        resume=resume,
        experiment_name=f'{work_dir.name}-{epochs}',
    )
    hub = runner.message_hub
    # As CheckpointHook does with the best score of a metric.
    hub.update_info('best_score', np.float64(0.5))
    runner.register_hook(CheckpointHook(interval=1))
    runner.train()
    return runner


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('own')
    run_training(work_dir, epochs=1)
    return work_dir / 'epoch_1.pth'


@needs_weights_only
def test_torch_refuses_own_checkpoint_without(checkpoint):
    # When this fails, the function is no longer needed.
    with pytest.raises(UnpicklingError, match='not an allowed global'):
        torch.load(checkpoint)


def test_loads_own_checkpoint(checkpoint):
    allow_own_checkpoints()
    allow_own_checkpoints()
    loaded = torch.load(checkpoint, weights_only=True)
    loss = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(loss, HistoryBuffer)
    assert len(loss.data[0]) == 2
    assert np.isfinite(loss.mean())
    assert loaded['message_hub']['runtime_info']['best_score'] == 0.5
    attributes = loaded['meta']['dataset_meta']['attributes']
    assert attributes[0]['name'] == 'nucleolus'


def test_resumes_own_checkpoint(checkpoint):
    allow_own_checkpoints()
    runner = run_training(checkpoint.parent, epochs=2, resume=True)
    assert runner.epoch == 2
    # Two iterations of the first epoch, two of the second.
    history = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(history) == 4


@pytest.mark.parametrize('code', '?bBhHiIlLqQefdFD')
def test_arrays_keep_their_values(tmp_path, code):
    array = np.array([0, 1, 1], dtype=code)
    torch.save([array, array[1]], tmp_path / 'arrays.pth')
    allow_own_checkpoints()
    loaded, scalar = torch.load(tmp_path / 'arrays.pth', weights_only=True)
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)
    assert scalar == array[1]


class Reaching:
    """Pickles as a call of ``getattr``."""

    def __init__(self, owner, name):
        self.arguments = owner, name

    def __reduce__(self):
        return getattr, self.arguments


class Commanding:
    """Pickles as a call of ``os.system``."""

    def __reduce__(self):
        return os.system, ('exit 3',)


@needs_weights_only
@pytest.mark.parametrize(
    'content',
    [
        Reaching(HistoryBuffer, '__init__'),
        Reaching(HistoryBuffer, '__subclasses__'),
        Reaching(np.ndarray, 'min'),
        Reaching(Reaching(HistoryBuffer, 'min'), '__globals__'),
        Commanding(),
        np.array([dict()], dtype=object),
        BaseDataset,
    ],
    ids=lambda content: type(content).__name__,
)
def test_refuses_everything_else(tmp_path, content):
    torch.save(content, tmp_path / 'foreign.pth')
    allow_own_checkpoints()
    with pytest.raises(UnpicklingError):
        torch.load(tmp_path / 'foreign.pth', weights_only=True)


def test_allowed_method_is_the_real_one(tmp_path):
    torch.save(Reaching(HistoryBuffer, 'mean'), tmp_path / 'method.pth')
    allow_own_checkpoints()
    loaded = torch.load(tmp_path / 'method.pth', weights_only=True)
    assert loaded is HistoryBuffer.mean
