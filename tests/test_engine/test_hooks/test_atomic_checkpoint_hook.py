# Copyright (c) mmleuk authors. All rights reserved.
import errno
import os
import sys
from pathlib import Path

import pytest
import torch

from mmleuk.engine.atomic_backend import AtomicBackend
from mmleuk.engine.latest_checkpoint import find_checkpoint

sys.path.insert(0, str(Path(__file__).parents[1]))
from interruptible import build_runner  # noqa: E402


def checkpoints(folder):
    return sorted(path.name for path in folder.glob('*.pth*'))


def test_keeps_the_last_ones_alone(tmp_path):
    runner = build_runner(tmp_path, max_epochs=3)
    runner.train()
    assert checkpoints(tmp_path) == ['epoch_3.pth']
    assert find_checkpoint(tmp_path) == str(tmp_path / 'epoch_3.pth')


def test_a_resumed_run_removes_those_of_before(tmp_path):
    build_runner(tmp_path, max_epochs=2).train()
    build_runner(tmp_path, max_epochs=4, resume=True).train()
    assert checkpoints(tmp_path) == ['epoch_4.pth']


def test_the_old_one_goes_when_the_new_one_is_whole(tmp_path, monkeypatch):
    put = AtomicBackend.put

    def watch(self, obj, filepath):
        number = int(Path(filepath).stem.split('_')[1])
        if number > 1:
            assert (tmp_path / f'epoch_{number - 1}.pth').is_file()
        put(self, obj, filepath)

    monkeypatch.setattr(AtomicBackend, 'put', watch)
    build_runner(tmp_path, max_epochs=3).train()
    assert checkpoints(tmp_path) == ['epoch_3.pth']


def test_a_full_disk_leaves_what_can_be_resumed(tmp_path, monkeypatch):
    replace = os.replace

    def fill(source, target):
        if str(target).endswith('epoch_2.pth'):
            raise OSError(errno.ENOSPC, 'No space left on device')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', fill)
    with pytest.raises(OSError, match='epoch_2.pth can not be written'):
        build_runner(tmp_path, max_epochs=3).train()
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    monkeypatch.undo()
    path = find_checkpoint(tmp_path)
    assert torch.load(path, weights_only=False)['meta']['epoch'] == 1
    build_runner(tmp_path, max_epochs=3, resume=True).train()
    assert checkpoints(tmp_path) == ['epoch_3.pth']
