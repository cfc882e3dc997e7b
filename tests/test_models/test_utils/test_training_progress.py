# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

import pytest
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn, optim

from mmleuk.models.utils import training_progress


@pytest.fixture
def runner():
    """What MMEngine's hook reads of a runner in its 30th of 40 iterations."""
    parameter = nn.Parameter(nn.Linear(1, 1).weight)
    yield SimpleNamespace(
        epoch=2,
        max_epochs=4,
        iter=29,
        max_iters=40,
        message_hub=MessageHub.get_instance('training-progress'),
        train_dataloader=SimpleNamespace(dataset=[]),
        optim_wrapper=OptimWrapper(optim.SGD([parameter], lr=1)),
    )
    MessageHub.get_instance('training-progress').pop_info('loop_stage')


def test_progress_is_that_of_the_runner(runner):
    hook = RuntimeInfoHook()
    assert training_progress() == 0
    hook.before_train(runner)
    hook.before_train_iter(runner, 9)
    assert training_progress() == 29 / 40
    runner.iter = 39
    hook.before_train_iter(runner, 19)
    assert training_progress() == 39 / 40
    hook.after_train(runner)
    assert training_progress() == 0
