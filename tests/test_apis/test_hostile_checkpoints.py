# Copyright (c) mmleuk authors. All rights reserved.
"""Hostile checkpoints, offered to everything that loads one."""

import pickle
from contextlib import suppress

import numpy as np
import pytest
import torch
from hostile_checkpoints import (
    FILES,
    payload_ran,
    serve_folder,
    write_hostile_files,
)
from mmengine.dataset import BaseDataset
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import nn

from mmleuk.apis import LLDInferencer
from mmleuk.engine.checkpoint_loaders import load_checkpoints_safely
from mmleuk.engine.checkpoint_metadata import load_whole_checkpoint

pytestmark = pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'),
    reason='torch before 2.5 can not be told what a checkpoint may hold',
)


class OneValue(BaseDataset):
    def load_data_list(self):
        return [dict(value=1.0)]

    def prepare_data(self, idx):
        return torch.ones(1)


class OneLayer(BaseModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=self.linear(torch.ones(1, 1)).sum())


@pytest.fixture(scope='module')
def runner(tmp_path_factory):
    runner = Runner(
        OneLayer(),
        str(tmp_path_factory.mktemp('runner')),
        train_dataloader=dict(
            dataset=OneValue(lazy_init=False),
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None),
        log_level='ERROR',
        experiment_name='hostile-checkpoints',
    )
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return runner


@pytest.fixture(scope='module')
def files(runner, tmp_path_factory):
    """A folder with a good checkpoint and all hostile ones."""
    history = HistoryBuffer()
    history.update(np.float64(0.5))
    good = dict(
        meta=dict(
            epoch=1,
            iter=1,
            experiment_name='good',
            seed=0,
            dataset_meta=dict(classes=('blast',), attributes=[]),
            hook_msgs=dict(best_score=np.float32(0.5)),
        ),
        state_dict=runner.model.state_dict(),
        optimizer=runner.optim_wrapper.state_dict(),
        message_hub=dict(
            log_scalars={'train/loss': history},
            runtime_info=dict(best_score=np.float64(0.5)),
            resumed_keys={},
        ),
        param_schedulers=[],
    )
    folder = tmp_path_factory.mktemp('files')
    torch.save(good, folder / 'good.pth')
    write_hostile_files(good, folder)
    return folder


@pytest.fixture(scope='module')
def address(files):
    with serve_folder(files) as address:
        yield address


@pytest.fixture(autouse=True)
def _checked(restored_loaders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'downloads'))
    load_checkpoints_safely()


def initialise(place):
    init_cfg = dict(type='Pretrained', checkpoint=place)
    OneLayer(init_cfg=init_cfg).init_weights()


# All that loads a checkpoint: functions of the runner, the path of the file
# and the address of the file.
LOADERS = {
    'load_from': lambda runner, path, url: runner.load_checkpoint(path),
    'resume': lambda runner, path, url: runner.resume(path),
    'init_cfg': lambda runner, path, url: initialise(path),
    'load_from_address': lambda runner, path, url: runner.load_checkpoint(url),
    'init_cfg_of_address': lambda runner, path, url: initialise(url),
    'init_detector': lambda runner, path, url: load_checkpoint(
        runner.model, path, map_location='cpu'
    ),
    'calibrate': lambda runner, path, url: load_whole_checkpoint(path),
    'inferencer': lambda runner, path, url: LLDInferencer(
        weights=path, device='cpu'
    ),
}


@pytest.fixture
def load(runner, files, address):
    def _load(loader, name):
        path = str(files / name)
        return LOADERS[loader](runner, path, f'{address}/{name}')

    return _load


@pytest.mark.parametrize('file', FILES)
def test_a_payload_runs_where_nothing_checks_it(files, file):
    with suppress(RuntimeError):  # A bare pickle is no checkpoint.
        torch.load(files / f'{FILES.index(file)}.pth', weights_only=False)
    assert payload_ran()


@pytest.mark.parametrize('loader', LOADERS)
@pytest.mark.parametrize('file', FILES)
def test_it_is_refused_and_does_not_run(load, loader, file):
    name = f'{FILES.index(file)}.pth'
    with pytest.raises((pickle.UnpicklingError, ValueError), match=name):
        load(loader, name)
    assert not payload_ran()


@pytest.mark.parametrize('loader', LOADERS)
def test_a_good_checkpoint_is_loaded(load, loader):
    if loader == 'inferencer':
        # It reads the whole file, and then asks for a config.
        with pytest.raises(ValueError, match='holds no config'):
            load(loader, 'good.pth')
    else:
        load(loader, 'good.pth')


@pytest.mark.parametrize('loader', ['load_from', 'resume', 'init_cfg'])
def test_an_unchecked_loader_runs_it(load, loader):
    def load_anything(filename, map_location=None):
        return torch.load(filename, map_location, weights_only=False)

    CheckpointLoader.register_scheme('', load_anything, force=True)
    with suppress(TypeError, AttributeError):  # What the call returns.
        load(loader, '0.pth')
    assert payload_ran()


def test_the_inferencer_checks_on_its_own(load):
    def load_anything(filename, map_location=None):
        return torch.load(filename, map_location, weights_only=False)

    CheckpointLoader.register_scheme('', load_anything, force=True)
    with pytest.raises(ValueError, match='0.pth'):
        load('inferencer', '0.pth')
    assert not payload_ran()
