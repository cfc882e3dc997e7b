# Copyright (c) mmleuk authors. All rights reserved.
"""Configs compared, with stubs in place of trainings and tests."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
# Leaves what a training leaves, unless it is to fail.
TRAIN = """
import pathlib, runpy, sys
config, options = sys.argv[1], sys.argv[2:]
print('arguments', options)
mended = pathlib.Path('mended').exists()
if 'fails' in runpy.run_path(config) and not mended:
    sys.exit(1)
work_dir = pathlib.Path(options[options.index('--work-dir') + 1])
(work_dir / 'last_checkpoint').write_text('somewhere/epoch_12.pth')
"""
# The config and the seed decide the scores.
TEST = """
import json, pathlib, runpy, sys
config, checkpoint, _, work_dir, _, options = sys.argv[1:]
assert checkpoint.endswith('/epoch_12.pth'), checkpoint
assert options == 'test_evaluator.classwise=True'
cfg = runpy.run_path(config)
ap = 0.5 + cfg['randomness']['seed'] / 10
scores = {'lld/bbox_mAP': ap, 'lld/bbox_mAP_50': ap, 'time': 1.0,
          'lld/bbox_AP_none': 0.25, 'lld/bbox_AP_atypical_lymphocyte': ap}
if cfg.get('has_attributes'):
    scores['lld/attr_macro_f1'] = scores['lld/attr_cell_size_macro_f1'] = ap
path = pathlib.Path(work_dir) / '20260102_000000' / '20260102_000000.json'
path.parent.mkdir(parents=True)
path.write_text(json.dumps(scores))
"""
CONFIGS = dict(
    attributes_a='has_attributes = True',
    boxes_a='',
    boxes_b='',
    fails_a='fails = True',
    rounds_a="self_training = dict(labeller='boxes_a.py')",
)


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('compare_configs')


@pytest.fixture
def run(benchmark, tmp_path, monkeypatch, capsys):
    """Run the benchmark in a folder with stub tools; give its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark.runs, 'ROOT', tmp_path)
    monkeypatch.setattr(benchmark, 'count_parameters', lambda config: 41.3e6)
    for name, text in [
        ('tools/train.py', TRAIN),
        ('tools/self_train.py', TRAIN),
        ('tools/test.py', TEST),
        (
            'tools/dist_train.sh',
            'config=$1\nshift 2\npython tools/train.py '
            '$config "$@" from_dist_train\n',
        ),
        *((f'configs/{name}.py', text) for name, text in CONFIGS.items()),
    ]:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)

    def run(*arguments):
        command = ['compare_configs.py', *arguments, '--work-dir', 'out']
        monkeypatch.setattr(sys, 'argv', command)
        benchmark.main()
        return capsys.readouterr().out

    return run


def rows_of(table):
    """Cells of each line of a Markdown table, by the first one."""
    rows = [line.strip('| ').split(' | ') for line in table.splitlines()]
    return {row[0].strip('`'): row[1:] for row in rows if len(row) > 1}


def test_tables_of_a_folder(run):
    run('configs', '--match', 'es_a', '--seeds', '0', '1')
    configs, types, attributes = Path('out/table.md').read_text().split(':\n')
    rows = rows_of(configs)
    assert set(rows) == {'config', '---', 'attributes_a', 'boxes_a'}
    assert rows['boxes_a'][:5] == [
        '41.3 M',
        '0, 1',
        '0.550 ± 0.071',
        '0.550 ± 0.071',
        '–',
    ]
    attributes_column = rows['config'].index(
        'attribute macro-F1, given a match'
    )
    assert rows['attributes_a'][attributes_column] == '0.550 ± 0.071'
    rows = rows_of(types)
    assert rows['config'] == ['atypical lymphocyte', 'none']
    assert rows['boxes_a'] == ['0.550 ± 0.071', '0.250 ± 0.000']
    rows = rows_of(attributes)
    assert rows['config'] == ['cell_size']
    assert rows['boxes_a'] == ['–']


def test_a_failed_run_stops_no_other_and_is_resumed(run):
    names = [f'configs/{name}.py' for name in ('fails_a', 'boxes_a')]
    with pytest.raises(SystemExit, match='fails_a, seed 3: .*stdout.log'):
        run(*names, '--seeds', '3')
    assert 'fails_a' not in Path('out/table.md').read_text()
    before = Path('out/boxes_a/seed_3/result.json').read_text()
    Path('mended').touch()
    run(*names, '--seeds', '3', '--record', 'kept.jsonl')
    assert 'fails_a' in Path('out/table.md').read_text()
    # A finished run is not repeated.
    assert Path('out/boxes_a/seed_3/result.json').read_text() == before
    log = Path('out/fails_a/seed_3/stdout.log').read_text()
    assert log.count("'--resume'") == 2
    lines = [
        json.loads(x) for x in Path('kept.jsonl').read_text().split('\n')[:-1]
    ]
    assert [line['config'] for line in lines] == ['boxes_a', 'fails_a']
    assert lines[0]['scores']['parameters'] == 41.3e6


def test_several_gpus_and_self_training(run):
    run('configs/boxes_a.py', '--seeds', '0', '--gpus', '8')
    log = Path('out/boxes_a/seed_0/stdout.log').read_text()
    assert "'from_dist_train'" in log
    run('configs/rounds_a.py', '--seeds', '0')
    config = Path('out/rounds_a/seed_0/config/rounds_a.py').read_text()
    assert str(Path('configs/boxes_a.py').resolve()) in config
    with pytest.raises(SystemExit, match='self-training runs on one GPU'):
        run('configs/rounds_a.py', '--seeds', '1', '--gpus', '8')


def test_other_settings_do_not_mix(run):
    run('configs/boxes_a.py', '--seeds', '0')
    with pytest.raises(SystemExit, match='results of other settings'):
        run('configs/boxes_a.py', '--seeds', '0', '--cfg-options', 'a.b=1')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['no_such'], 'no config or folder no_such'),
        (['configs', '--match', 'lld'], "no config of configs has 'lld'"),
    ],
)
def test_nothing_to_run(run, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(*arguments)


def test_parameters_of_the_detector_that_predicts(benchmark):
    folder = FOLDER.parents[2] / 'configs'
    name = 'attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    numbers = [
        benchmark.count_parameters(folder / path)
        for path in (
            f'baselines/ignore-{name}',
            f'region_sparse/mined-{name}',
            f'baselines/soft-teacher-{name}',
        )
    ]
    assert numbers[0] == numbers[1] == numbers[2] > 1e6


def test_configs_of_pbc_fields_exist(benchmark):
    configs = runpy.run_path(str(FOLDER / 'pbc_fields.py'))['CONFIGS']
    for config in configs:
        assert (FOLDER.parents[2] / config).is_file()
