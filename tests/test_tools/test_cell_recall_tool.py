# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import sys
from pathlib import Path

import pytest
from dumped_fields import write_fields
from random_results import CLASSES

FOLDER = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool on a folder, and read its table."""
    monkeypatch.syspath_prepend(str(FOLDER))
    tool = importlib.import_module('cell_recall')

    def run_tool(folder, *options):
        arguments = [
            'cell_recall.py',
            str(folder / 'results.pkl'),
            '--config',
            str(folder / 'config.py'),
            *options,
        ]
        monkeypatch.setattr(sys, 'argv', arguments)
        tool.main()
        lines = capsys.readouterr().out.splitlines()
        rows = [
            [value.strip() for value in line.strip('|').split('|')]
            for line in lines
            if line.startswith('|')
        ]
        return {tuple(row[:2]): row[2:] for row in rows[2:]}

    return run_tool


def test_counts_every_cell_once(run, tmp_path):
    write_fields(tmp_path / 'data')
    table = run(tmp_path / 'data', '--edge', '0.05')
    total = int(table['all', 'all'][0])
    assert total > 50
    places = [
        int(table['all', place][0]) for place in ('inside', 'at the edge')
    ]
    assert min(places) > 0
    assert sum(places) == total
    types = [int(table[name, 'all'][0]) for name in CLASSES]
    assert sum(types) == total
    found, named, iou = table['all', 'all'][1:]
    assert 0 < float(named.split('%')[0]) < 100
    assert float(found.split('%')[0]) >= float(named.split('%')[0])
    assert 0.5 <= float(iou) <= 1


def test_nothing_is_found_above_every_score(run, tmp_path):
    write_fields(tmp_path / 'data')
    table = run(tmp_path / 'data', '--score-thr', '1')
    cells, found, named, iou = table['all', 'all']
    assert found.startswith('0.0% (0.0% to ')
    assert named.startswith('0.0%')
    assert iou == '–'


@pytest.mark.parametrize(
    'options, message',
    [
        (['--score-thr', '2'], '--score-thr is 2'),
        (['--edge', '-1'], '--edge is -1'),
    ],
)
def test_impossible_options(run, tmp_path, capsys, options, message):
    write_fields(tmp_path / 'data')
    with pytest.raises(SystemExit):
        run(tmp_path / 'data', *options)
    assert message in capsys.readouterr().err
