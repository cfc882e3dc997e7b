# Copyright (c) mmleuk authors. All rights reserved.
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = (
    Path(__file__).parents[2]
    / 'tools/dataset_converters/make_synthetic_films.py'
)


def call(monkeypatch, *arguments):
    """Run the tool in this process, which saves the imports."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_command_line(tmp_path):
    command = [sys.executable, TOOL, '--preset', 'tests', '--out', tmp_path]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=True
    )
    for subset in ('H_100X_C1', 'L_40X_C2'):
        assert f'{tmp_path / subset}: 4 train fields with' in done.stdout
        assert len(list((tmp_path / subset / 'images/test').iterdir())) == 2
        assert (tmp_path / subset / 'json_labels/train_sparse.json').exists()
        assert len(list((tmp_path / subset).glob('txt_labels/*/train'))) == 2


def test_settings_replace_those_of_the_preset(tmp_path, monkeypatch, capsys):
    settings = (
        '--preset tests --subsets l_10x_c1 --train-fields 2 --test-fields 1 '
        '--train-patients 1 --test-patients 1 --size 96 128 --cells 3 '
        '--squeeze 0.6 --no-sparse --no-text --missing 0 --seed 3'
    ).split()
    call(monkeypatch, '--out', tmp_path, *settings)
    assert [path.name for path in tmp_path.iterdir()] == ['L_10X_C1']
    folder = tmp_path / 'L_10X_C1'
    labels = json.loads((folder / 'json_labels/train.json').read_text())
    sizes = [(image['width'], image['height']) for image in labels['images']]
    assert sizes == [(96, 128)] * 2
    assert labels['images'][1]['file_name'] == '1_2_100_ALL.png'
    assert not (folder / 'txt_labels').exists()
    assert not (folder / 'json_labels/train_sparse.json').exists()

    capsys.readouterr()
    call(monkeypatch, '--out', tmp_path, *settings)
    assert f'{folder}: already there' in capsys.readouterr().out

    settings[-1] = '4'
    with pytest.raises(SystemExit, match=r'other settings \(seed\)'):
        call(monkeypatch, '--out', tmp_path, *settings)
    call(monkeypatch, '--out', tmp_path, *settings, '--overwrite')
    assert f'{folder}: 2 train fields' in capsys.readouterr().out


def test_refuses_a_wrong_setting(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match='error: got the subset'):
        call(monkeypatch, '--out', tmp_path, '--subsets', 'H_60X_C1')
    assert not list(tmp_path.iterdir())
