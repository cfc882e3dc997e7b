# Copyright (c) mmleuk authors. All rights reserved.
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'


@pytest.fixture
def records(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('records')


def result(seed, ap, **others):
    return dict(method='crop', seed=seed, scores={'AP': ap}, **others)


def test_results_are_added_and_replaced(records, tmp_path):
    path = tmp_path / 'docs' / 'record.jsonl'
    assert records.read_record(path) == []
    records.update_record(path, [result(1, 0.5, revision='a'), result(0, 0.4)])
    held = records.update_record(
        path, [result(1, 0.6, revision='b', minutes=3.0), result(2, 0.7)]
    )
    assert held == records.read_record(path)
    assert [(r['seed'], r['scores']['AP']) for r in held] == [
        (0, 0.4),
        (1, 0.6),
        (2, 0.7),
    ]
    assert held[1]['revision'] == 'b'
    before = path.read_bytes()
    assert records.update_record(path, []) == held
    assert path.read_bytes() == before


@pytest.mark.parametrize('line', ['{"scores": {', '[1]', '{"seed": 1}', ''])
def test_a_broken_line_is_named_and_nothing_is_lost(records, tmp_path, line):
    path = tmp_path / 'record.jsonl'
    records.update_record(path, [result(0, 0.4)])
    with path.open('a') as file:
        file.write(f'{line}\n')
    before = path.read_bytes()
    with pytest.raises(ValueError, match='record.jsonl, line 2: got .*remove'):
        records.update_record(path, [result(1, 0.5)])
    assert path.read_bytes() == before
