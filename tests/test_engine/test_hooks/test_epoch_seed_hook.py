# Copyright (c) mmleuk authors. All rights reserved.
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmleuk.engine.hooks import EpochSeedHook

sys.path.insert(0, str(Path(__file__).parents[1]))
from interruptible import build_runner  # noqa: E402


class Stop(Hook):
    """Interrupts a training in the middle of an epoch."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 2 and batch_idx == 3:
            raise KeyboardInterrupt


def weights_of(runner):
    return torch.cat([p.flatten() for p in runner.model.parameters()])


def start_weights():
    torch.manual_seed(0)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, num_workers):
    results = {}
    for name in ('whole', 'interrupted'):
        start_weights()
        folder = tmp_path / name
        hooks = [Stop()] if name == 'interrupted' else []
        runner = build_runner(folder, num_workers, hooks=hooks)
        if name == 'interrupted':
            with pytest.raises(KeyboardInterrupt):
                runner.train()
            runner = build_runner(folder, num_workers, resume=True)
        runner.train()
        results[name] = weights_of(runner)
    assert torch.equal(results['whole'], results['interrupted'])


def test_without_the_hook_it_does_not(tmp_path):
    results = []
    for name in ('whole', 'interrupted'):
        start_weights()
        folder = tmp_path / name
        hooks = [Stop()] if name == 'interrupted' else []
        runner = build_runner(folder, hooks=hooks, seed=False)
        if name == 'interrupted':
            with pytest.raises(KeyboardInterrupt):
                runner.train()
            runner = build_runner(folder, resume=True, seed=False)
        runner.train()
        results.append(weights_of(runner))
    assert not torch.equal(*results)


def test_epochs_differ(tmp_path):
    runner = build_runner(tmp_path, max_epochs=1)
    runner.train()
    hook, draws = EpochSeedHook(), []
    for epoch in (0, 1, 0):
        runner.train_loop._epoch = epoch
        hook.before_train_epoch(runner)
        draws.append(float(torch.rand(())))
    assert draws[0] == draws[2] != draws[1]
