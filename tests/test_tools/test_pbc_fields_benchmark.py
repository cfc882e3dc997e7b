# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('pbc_fields')


def make_result(config, seed, score, minutes=5.0, **scores):
    scores = {f'lld/{key}': value for key, value in scores.items()}
    return dict(
        config=config,
        seed=seed,
        minutes=minutes,
        scores={'lld/bbox_mAP': score, **scores},
    )


def test_table(benchmark):
    results = [
        make_result('a/ours.py', 0, 0.80, attr_size_macro_f1=0.5),
        make_result('a/ours.py', 1, 0.90, attr_size_macro_f1=0.7),
        make_result('b/plain.py', 0, 0.75, minutes=3.0),
    ]
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in benchmark.make_table(results).splitlines()
    ]
    table = {row[0]: row[1:] for row in rows}
    assert table[''] == ['ours', 'plain']
    assert table['`lld/bbox_mAP`'] == ['0.850 ± 0.071', '0.750']
    assert table['`lld/attr_size_macro_f1`'] == ['0.600 ± 0.141', '–']
    assert table['`lld/attr_macro_f1`'] == ['–', '–']
    assert table['minutes'] == ['5.0 ± 0.0', '3.0']


def test_finished_runs_are_not_repeated(benchmark, tmp_path):
    result = make_result('a/ours.py', 0, 0.8)
    (tmp_path / 'result.json').write_text(json.dumps(result))
    assert benchmark.run('a/ours.py', 0, tmp_path, []) == result


def test_a_failed_run_names_its_log(benchmark, tmp_path):
    with pytest.raises(RuntimeError, match='stdout.log'):
        benchmark.run('no_such_config.py', 0, tmp_path / 'run', [])
    assert 'no_such_config' in (tmp_path / 'run' / 'stdout.log').read_text()
