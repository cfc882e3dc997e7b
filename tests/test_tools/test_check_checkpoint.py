# Copyright (c) mmleuk authors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/check_checkpoint.py'


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


class Marking:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_good_checkpoint_is_described(tmp_path):
    meta = dict(
        epoch=3,
        cfg="model = dict(type='FasterRCNN')\n",
        dataset_meta=dict(classes=('none', 'myeloblast')),
    )
    weights = dict(weight=torch.ones(1000, 2))
    path = tmp_path / 'a.pth'
    torch.save(dict(meta=meta, state_dict=weights, optimizer={}), path)
    result = run(path)
    assert result.returncode == 0, result.stderr
    lines = dict(
        line.split(maxsplit=1)
        for line in result.stdout.splitlines()[1:]
        if not line.startswith('can be')
    )
    assert lines['numbers'] == '2,000'
    assert lines['epoch'] == '3'
    assert lines['types'] == 'none, myeloblast'
    assert lines['config'].startswith('literals of known modules')
    assert len(lines['SHA-256']) == 64


def test_a_hostile_one_is_refused_and_told_why(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=Marking(tmp_path / 'ran')), path)
    result = run(path)
    assert result.returncode == 1, result.stderr
    assert 'REFUSED' in result.stdout
    assert 'posix.mkdir' in result.stdout
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('arguments', [(), ('no',)])
def test_wrong_arguments(arguments):
    assert run(*arguments).returncode == 2
