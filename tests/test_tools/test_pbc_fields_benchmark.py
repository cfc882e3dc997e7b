# Copyright (c) mmleuk authors. All rights reserved.
import importlib.util
import json
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'benchmarks' / 'pbc_fields.py'
spec = importlib.util.spec_from_file_location('pbc_fields_benchmark', TOOL)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


def make_result(config, seed, score, minutes=5.0, **scores):
    scores = {f'lld/{key}': value for key, value in scores.items()}
    return dict(
        config=config,
        seed=seed,
        minutes=minutes,
        scores={'lld/bbox_mAP': score, **scores},
    )


def test_table():
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
    assert table['`lld/bbox_mAP`'] == ['0.850 ± 0.071', '0.750 ± 0.000']
    assert table['`lld/attr_size_macro_f1`'] == ['0.600 ± 0.141', '–']
    assert table['`lld/attr_macro_f1`'] == ['–', '–']
    assert table['minutes'] == ['5.0 ± 0.0', '3.0 ± 0.0']


def test_undefined_scores_are_no_scores():
    assert benchmark.spread([float('nan'), None]) == '–'
    assert benchmark.spread([0.5, float('nan')]) == '0.500 ± 0.000'


def test_last_validation_is_read(tmp_path):
    log = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    rows = [
        {'loss': 1.0},
        {'lld/bbox_mAP': 0.9, 'step': 5},
        {'loss': 0.5},
        {'lld/bbox_mAP': 0.7, 'lld/attr_macro_f1': 0.6, 'step': 10},
        {'loss': 0.4},
    ]
    log.write_text('\n'.join(map(json.dumps, rows)))
    assert benchmark.read_scores(tmp_path) == {
        'lld/bbox_mAP': 0.7,
        'lld/attr_macro_f1': 0.6,
    }


def test_a_run_without_scores_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match='no validation scores'):
        benchmark.read_scores(tmp_path)


def test_finished_runs_are_not_repeated(tmp_path):
    result = make_result('a/ours.py', 0, 0.8)
    (tmp_path / 'result.json').write_text(json.dumps(result))
    assert benchmark.run('a/ours.py', 0, tmp_path, []) == result


def test_a_failed_run_names_its_log(tmp_path):
    with pytest.raises(RuntimeError, match='stdout.log'):
        benchmark.run('no_such_config.py', 0, tmp_path / 'run', [])
    assert 'no_such_config' in (tmp_path / 'run' / 'stdout.log').read_text()
