# Copyright (c) mmleuk authors. All rights reserved.
from collections import Counter

import pytest
import torch
from mmengine.runner import CheckpointLoader

import mmleuk.apis.checkpoint_trials as trials
from mmleuk.apis.checkpoint_trials import GOOD, run_trials

pytestmark = [
    pytest.mark.skipif(
        not hasattr(torch.serialization, 'safe_globals'),
        reason='torch before 2.5 can not be told what a checkpoint may hold',
    ),
    pytest.mark.usefixtures('restored_loaders'),
]


def test_every_hostile_file_is_refused_by_every_loader(tmp_path):
    results = run_trials(tmp_path)
    assert [result for result in results if result.problem] == []
    loaders = Counter(result.loader for result in results)
    files = Counter(result.file for result in results)
    assert set(loaders.values()) == {len(files)}
    assert set(files.values()) == {len(loaders)}
    assert GOOD in files
    assert len(files) > 15
    assert len(loaders) > 7


def test_it_tells_where_code_runs(tmp_path, monkeypatch):
    # An unchecked loader, to see that the trials are no formality.
    def load_anything(filename, map_location=None):
        return torch.load(filename, map_location, weights_only=False)

    def leave_open():
        CheckpointLoader.register_scheme('', load_anything, force=True)

    monkeypatch.setattr(trials, 'load_checkpoints_safely', leave_open)
    results = run_trials(tmp_path)
    ran = {r.loader for r in results if r.problem == 'ITS CODE RAN'}
    assert {'load_from, tools/test.py', 'resume', 'init_cfg'} <= ran
    assert 'LLDInferencer, image_demo.py' not in ran
