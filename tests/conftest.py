# Copyright (c) mmleuk authors. All rights reserved.
import uuid

import pytest
import torch
from child_processes import pytest_timeout_set_timer  # noqa: F401
from lld_files import LLDFiles
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader


def pytest_runtest_setup(item):
    if item.get_closest_marker('cuda') and not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')


@pytest.fixture(autouse=True)
def _default_scope():
    """Look names up as a config does, whatever the test before has left.

    A runner makes its own scope the current one for the rest of the process.
    """
    DefaultScope.get_instance(f'test-{uuid.uuid4()}', scope_name='mmdet')


@pytest.fixture
def restored_loaders():
    """Gives whatever follows MMEngine's checkpoint loaders as they were."""
    before = dict(CheckpointLoader._schemes)
    globals_before = torch.serialization.get_safe_globals()
    yield
    CheckpointLoader._schemes.clear()
    CheckpointLoader._schemes.update(before)
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(globals_before)


@pytest.fixture(scope='session')
def lld_files():
    return LLDFiles
