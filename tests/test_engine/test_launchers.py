# Copyright (c) mmleuk authors. All rights reserved.
import argparse

import pytest

from mmleuk.engine import launchers


def launcher_by_default():
    parser = argparse.ArgumentParser()
    launchers.add_launcher(parser)
    return parser.parse_args([]).launcher


def test_torchrun_is_noticed(monkeypatch):
    monkeypatch.delenv('TORCHELASTIC_RUN_ID', raising=False)
    assert launcher_by_default() == 'none'
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    assert launcher_by_default() == 'pytorch'


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_mmengine_starts_processes_on_accelerators(monkeypatch, launcher):
    calls = []
    monkeypatch.setattr(launchers, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(
        launchers, 'init_dist', lambda *args, **kwargs: calls.append(args)
    )
    launchers.join_processes(launcher)
    launchers.join_processes('none')
    assert calls == [(launcher, 'gloo')]

    monkeypatch.setattr(launchers, 'get_device', lambda: 'cpu')
    with pytest.raises(SystemExit, match='use torchrun and --launcher'):
        launchers.join_processes(launcher)
