# Copyright (c) mmleuk authors. All rights reserved.
import errno
import os

import pytest
from mmengine.fileio import get_file_backend

from mmleuk.engine.atomic_backend import ATOMIC_BACKEND, AtomicBackend


@pytest.fixture
def backend():
    built = get_file_backend(backend_args=dict(backend=ATOMIC_BACKEND))
    assert isinstance(built, AtomicBackend)
    return built


def test_writes_and_replaces(backend, tmp_path):
    path = tmp_path / 'deep' / 'file'
    backend.put(b'one', path)
    backend.put_text('zwei ü', path)
    assert path.read_text(encoding='utf-8') == 'zwei ü'
    assert os.listdir(path.parent) == ['file']


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_a_full_disk_leaves_the_old_file(backend, tmp_path, monkeypatch, step):
    path = tmp_path / 'file'
    backend.put(b'old', path)

    def fail(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match='as it was before: No space') as error:
        backend.put(b'new', path)
    assert error.value.errno == errno.ENOSPC
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['file']


def test_a_killed_process_leaves_the_old_file(backend, tmp_path, monkeypatch):
    path = tmp_path / 'file'
    backend.put(b'old', path)

    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    monkeypatch.setattr(os, 'fsync', kill)
    with pytest.raises(Killed):
        backend.put(b'new', path)
    assert path.read_bytes() == b'old'
    monkeypatch.undo()
    backend.put(b'newer', path)
    assert path.read_bytes() == b'newer'
    assert os.listdir(tmp_path) == ['file']
