# Copyright (c) mmleuk authors. All rights reserved.
"""Trainings that are really killed, and disks that are really full."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmleuk.engine.latest_checkpoint import find_checkpoint

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name('run_interruptible.py')
MOUNT = ['unshare', '--user', '--map-root-user', '--mount']


def run(*arguments, shell=()):
    return subprocess.run(
        [*shell, sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore'),
    )


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The last weights of a training that nothing interrupts."""
    folder = tmp_path_factory.mktemp('whole')
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return weights(folder / 'epoch_4.pth')


def assert_same(state, other):
    assert state.keys() == other.keys()
    for key, value in state.items():
        assert torch.equal(value, other[key]), key


def test_killed_while_a_checkpoint_is_written(tmp_path, whole):
    result = run(tmp_path, '--die-in-write', 'epoch_3.pth')
    assert result.returncode == -signal.SIGKILL
    # Half of it is there, under another name.
    partial = tmp_path / '.epoch_3.pth.partial'
    assert partial.stat().st_size > 0
    assert find_checkpoint(tmp_path) == str(tmp_path / 'epoch_2.pth')
    result = run(tmp_path, '--resume')
    assert result.returncode == 0, result.stderr
    assert not partial.exists()
    assert_same(weights(tmp_path / 'epoch_4.pth'), whole)


def can_mount():
    if shutil.which('unshare') is None:
        return False
    mount = [*MOUNT, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']
    return subprocess.run(mount, capture_output=True).returncode == 0


@pytest.mark.skipif(
    not can_mount(), reason='no right to mount a small disk (tmpfs)'
)
def test_a_small_disk_is_full(tmp_path, whole):
    disk = tmp_path / 'disk'
    disk.mkdir()
    script = f'mount -t tmpfs -o size=8m tmpfs {disk} && exec "$@"'
    shell = [*MOUNT, 'sh', '-c', script, 'sh']
    kept = tmp_path / 'kept.pth'
    result = run(disk, '--full-disk', kept, shell=shell)
    assert result.returncode == 0, result.stderr
    assert f'stopped: {errno.ENOSPC}' in result.stdout
    assert 'epoch_2.pth can not be written, and is as it was' in result.stdout
    assert "there: ['epoch_1.pth']" in result.stdout
    assert_same(weights(kept), whole)


def test_a_dead_worker_ends_the_run(tmp_path):
    """Killed from outside, as want of memory does.

    In a process of its own: torch raises from a signal handler.
    """
    result = run(tmp_path, '--deadly-data')
    assert result.returncode == 1
    assert 'DataLoader worker' in result.stderr
    assert 'killed' in result.stderr or 'exited' in result.stderr
