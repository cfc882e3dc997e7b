# Copyright (c) mmleuk authors. All rights reserved.
"""The matrix, with stubs in place of trainings."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from test_sparse_benchmark_data import FOLDER, FULL, NUM_FIELDS, write_labels

# Leaves what a training leaves: the config and the seed decide the score. It
# is interrupted after its checkpoint where a file asks for it.
TRAIN = """
import json, pathlib, sys
from mmengine.config import Config
config, options = sys.argv[1], sys.argv[2:]
cfg = Config.fromfile(config)
work_dir = pathlib.Path(options[options.index('--work-dir') + 1])
print('arguments', options)
(work_dir / 'last_checkpoint').write_text('somewhere/epoch_12.pth')
stop = pathlib.Path('stop')
if stop.exists():
    stop.unlink()
    sys.exit(1)
if pathlib.Path('no_score').exists():
    sys.exit(0)
log = work_dir / '20260101_000000' / 'vis_data' / 'scalars.json'
log.parent.mkdir(parents=True, exist_ok=True)
ap = 0.5 + cfg.randomness.seed / 10 + cfg.get('bonus', 0)
row = {'lld/bbox_mAP': ap, 'lld/attr_macro_f1': ap - 0.1, 'step': 12}
log.write_text(json.dumps(row))
"""
TEST = """
import json, pathlib, sys
config, checkpoint, _, work_dir = sys.argv[1:]
assert checkpoint.endswith('/epoch_12.pth'), checkpoint
path = pathlib.Path(work_dir) / '20260102_000000' / '20260102_000000.json'
path.parent.mkdir(parents=True)
path.write_text(json.dumps({'lld/bbox_mAP': 0.25, 'time': 1.0}))
"""
CONFIG = """
def _dataset(ann_file):
    return dict(
        type='mmleuk.LLDDataset', data_root='data/pbc_fields/',
        ann_file=ann_file, data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=20, dataset=_dataset('json_labels/{train}.json'))
val_dataloader = dict(dataset=_dataset('json_labels/val.json'))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=60)
del _dataset
"""
CROP = """
train_dataloader['dataset']['pipeline'] = [dict(type='mmleuk.RegionCrop')]
"""


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('sparse')


@pytest.fixture
def folder(tmp_path, monkeypatch, benchmark):
    """The current folder, a clone with labels, stub tools and two configs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark.runs, 'ROOT', tmp_path)
    write_labels(tmp_path)
    (tmp_path / 'tools').mkdir()
    for name in ('train.py', 'self_train.py'):
        (tmp_path / 'tools' / name).write_text(TRAIN)
    (tmp_path / 'tools' / 'test.py').write_text(TEST)
    configs = tmp_path / 'configs' / 'baselines'
    configs.mkdir(parents=True)
    (configs / 'full-attr-faster-rcnn_lite0_fpn_pbc-fields.py').write_text(
        CONFIG.replace('{train}', 'train')
    )
    (
        configs / 'crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    ).write_text(CONFIG.replace('{train}', 'train_sparse') + CROP)
    (
        configs
        / 'self-training-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    ).write_text(
        CONFIG.replace('{train}', 'train_sparse')
        + 'self_training = dict(labeller='
        + "'crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py')\n"
    )
    return tmp_path


@pytest.fixture
def run(benchmark, folder, monkeypatch, capsys):
    """Runs the tool; gives its output, or the message it ends with."""

    def call(*arguments):
        arguments = ['sparse.py', '--work-dir', 'out', *arguments]
        monkeypatch.setenv('OMP_NUM_THREADS', '1')
        monkeypatch.setattr(sys, 'argv', arguments)
        try:
            benchmark.main()
        except SystemExit as ended:
            return str(ended.code)
        return capsys.readouterr().out

    return call


def results(folder, base='out'):
    paths = (folder / base / 'runs').rglob('result.json')
    return {
        str(path.parent.relative_to(folder / base / 'runs')): json.loads(
            path.read_text()
        )
        for path in paths
    }


SMALL = ('--shares', '0.2', '--seeds', '1', '--methods')


def test_matrix(run, folder):
    output = run(
        *('--methods', 'full', 'crop'),
        *('--shares', '0.2', '0.1'),
        *('--seeds', '0', '1', '--jobs', '2'),
    )
    found = results(folder)
    # All labels are all labels: `full` knows no share.
    assert set(found) == {
        f'pbc/{place}/seed_{seed}'
        for place in ('full', 'crop/share_0.2', 'crop/share_0.1')
        for seed in (0, 1)
    }
    result = found['pbc/crop/share_0.1/seed_1']
    assert result.pop('minutes') > 0
    # The clone is in no repository.
    assert result.pop('revision') == 'unknown'
    assert result == dict(
        method='crop',
        data='pbc',
        share=0.1,
        seed=1,
        cfg_options=[],
        redrawn=False,
        scores={'lld/bbox_mAP': 0.6, 'lld/attr_macro_f1': 0.5},
    )
    assert '| 10 % | crop | 2 | 0.550 ± 0.071 (100 %) |' in output
    assert 'crop on pbc, share 0.1, seed 1: AP 0.600 in' in output
    assert (folder / 'out' / 'curve.svg').is_file()


def test_a_run_gets_data_budget_and_seed(run, folder):
    run('--shares', '0.1', '--seeds', '3', '--methods', 'crop')
    work_dir = folder / 'out' / 'runs/pbc/crop/share_0.1/seed_3'
    config = 'crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    cfg = Config.fromfile(work_dir / 'config' / config)
    assert cfg.randomness == dict(seed=3)
    ann_file = cfg.train_dataloader.dataset.ann_file
    assert ann_file == str(folder / 'out/annotations/pbc/train_0.1.json')
    assert cfg.val_dataloader.dataset.ann_file == 'json_labels/val.json'
    assert cfg.train_dataloader.batch_size == 40
    assert cfg.train_cfg.max_epochs == 120


def test_self_training_has_a_tool_and_a_labeller(run, folder):
    run('--shares', '0.1', '--seeds', '3', '--methods', 'self-training')
    work_dir = folder / 'out' / 'runs/pbc/self-training/share_0.1/seed_3'
    log = (work_dir / 'stdout.log').read_text()
    assert '--resume' not in log
    config = 'self-training-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    cfg = Config.fromfile(work_dir / 'config' / config)
    labeller = Config.fromfile(
        work_dir / 'config' / cfg.self_training.labeller
    )
    assert labeller.train_dataloader.batch_size == 40
    assert labeller.train_cfg.max_epochs == 120


def test_rectangles_are_drawn_anew_for_every_seed(run, folder):
    arguments = ('--shares', '0.2', '--seeds', '0', '1', '--methods', 'crop')
    run(*arguments)
    output = run(*arguments, 'full', '--redraw')
    assert set(results(folder, 'out/redrawn')) == {
        f'pbc/crop/share_0.2/seed_{seed}' for seed in (0, 1)
    }
    # All labels know no rectangles: their runs lie with the others.
    assert 'pbc/full/seed_0' in results(folder)
    # One table of both, without the crops of other rectangles.
    table = (folder / 'out/redrawn/table.md').read_text()
    assert table.strip() in output
    assert '| full | 2 |' in table
    assert '| crop | 2 |' in table
    files = [
        Config.fromfile(path).train_dataloader.dataset.ann_file
        for path in sorted((folder / 'out').rglob('config/crop*.py'))
    ]
    assert len(files) == 4
    cuts = {
        file: str(json.loads(Path(file).read_text())['images'])
        for file in files
    }
    # Those that came with the data, and one for each seed.
    assert len(cuts) == len(set(cuts.values())) == 3


def test_finished_runs_are_not_repeated(run, folder):
    run(*SMALL, 'crop')
    log = folder / 'out/runs/pbc/crop/share_0.2/seed_1/stdout.log'
    before = log.stat().st_mtime_ns
    output = run(*SMALL, 'crop', 'full')
    assert log.stat().st_mtime_ns == before
    assert 'full on pbc, share 1, seed 1' in output


def test_an_interrupted_run_goes_on_and_the_others_are_done(run, folder):
    (folder / 'stop').touch()
    message = run(*SMALL, 'crop', 'full')
    assert 'crop on pbc, share 0.2, seed 1: ' in message
    assert 'ended with code 1; its output is in out/runs/pbc/crop' in message
    assert set(results(folder)) == {'pbc/full/seed_1'}
    run(*SMALL, 'crop', 'full')
    assert len(results(folder)) == 2
    log = folder / 'out/runs/pbc/crop/share_0.2/seed_1/stdout.log'
    assert log.read_text().count("'--resume'") == 2


def test_a_run_interrupted_before_its_score_is_tested(run, folder):
    (folder / 'no_score').touch()
    run(*SMALL, 'crop')
    (result,) = results(folder).values()
    assert result['scores'] == {'lld/bbox_mAP': 0.25}


def test_overrides_are_apart(run, folder):
    run(*SMALL, 'crop')
    output = run(*SMALL, 'crop', '--cfg-options', 'bonus=0.2', 'a.b=[1,"x y"]')
    found = results(folder)
    assert len(found) == 2
    (name,) = set(found) - {'pbc/crop/share_0.2/seed_1'}
    assert name.startswith('pbc/crop/share_0.2/a.b=_1_x_y_bonus=0.2-')
    assert found[name]['scores']['lld/bbox_mAP'] == pytest.approx(0.8)
    assert '| crop `a.b=[1,"x y"]` `bonus=0.2` | 1 | 0.800' in output


@pytest.mark.parametrize('finished', [True, False])
def test_results_of_changed_configs_do_not_mix(run, folder, finished):
    if not finished:
        (folder / 'stop').touch()
    run(*SMALL, 'crop')
    name = 'crop-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    config = folder / 'configs' / 'baselines' / name
    config.write_text(config.read_text() + 'lr = 0.1\n')
    message = run(*SMALL, 'crop')
    assert 'sparse.py is there with another content' in message
    assert len(results(folder)) == finished


def test_choosing_is_apart_from_validation(run, folder):
    run('--choose', *SMALL, 'crop', 'full')
    assert not (folder / 'out' / 'runs').exists()
    found = results(folder, 'out/choose')
    assert set(found) == {'pbc/full/seed_1', 'pbc/crop/share_0.2/seed_1'}
    for name in found:
        (path,) = (folder / 'out/choose/runs' / name / 'config').iterdir()
        text = path.read_text()
        assert 'val.json' not in text
        assert text.count('held_out.json') == 2
        cfg = Config.fromfile(path)
        train = json.loads(
            Path(cfg.train_dataloader.dataset.ann_file).read_text()
        )
        held_out = set(range(1, NUM_FIELDS, 4))
        assert held_out == set(range(NUM_FIELDS)) - {
            image['id'] for image in train['images']
        }


def test_report_alone(run, folder):
    run(*SMALL, 'crop')
    for path in ('tools', 'configs', FULL):
        (folder / path).rename(folder / 'gone')
        (folder / 'gone').rename(folder / path.replace('/', '_'))
    assert '| crop | 1 | 0.600' in run('--report-only')


def test_a_record_outlives_the_working_directory(run, folder):
    record = folder / 'docs' / 'sparse.jsonl'
    kept = ('--record', str(record))
    run(*SMALL, 'crop', 'full', *kept)
    run(*SMALL, 'crop', '--redraw', *kept)
    shutil.rmtree(folder / 'out')
    # Results of runs that the record lacks join it.
    output = run(
        *('--shares', '0.2', '--seeds', '2', '--methods', 'crop'), *kept
    )
    assert '| crop | 2 | 0.650 ± 0.071' in output
    shutil.rmtree(folder / 'out')
    redrawn = run('--report-only', '--redraw', *kept)
    assert '| crop | 1 | 0.600 (100 %)' in redrawn
    assert '| full | 1 | 0.600 |' in redrawn
    assert len(record.read_text().splitlines()) == 4
    assert run('--choose', *kept) == '2'


def test_nothing_to_report(run):
    assert run('--report-only') == 'out holds no results'


def test_missing_configs_are_named_before_anything_runs(run, folder):
    message = run('--methods', 'crop', 'naive', 'mined', '--seeds', '1')
    assert 'there are no configs configs/baselines/naive-attr-' in message
    assert 'configs/region_sparse/mined-attr-faster-rcnn' in message
    assert not results(folder)


@pytest.mark.parametrize('share', ['0', '1', '1.5'])
def test_a_wrong_share_is_named(run, capsys, share):
    assert run('--shares', share) == '2'
    assert 'above 0 and below 1' in capsys.readouterr().err


@pytest.mark.parametrize(
    'name, choosing',
    [('pbc', True), ('pbc', False), ('bccd', False), ('synthetic', True)],
)
def test_real_configs(benchmark, tmp_path, monkeypatch, name, choosing):
    """All methods can be pointed to a share of any data set."""
    monkeypatch.chdir(tmp_path)
    source = benchmark.SOURCES[name]
    write_labels(tmp_path, source.full, source.sparse)
    part = 1 if choosing else None
    annotations = benchmark.Annotations(source, tmp_path / 'cut', part)
    for method in benchmark.METHODS:
        share = 1 if method == 'full' else 0.1
        run = benchmark.Run(method, name, share, 0)
        path = benchmark.prepare(run, tmp_path / method, annotations, [])
        text = path.read_text()
        assert 'train_sparse.json' not in text
        # The file is a config, whole and of its own.
        cfg = Config.fromfile(path)
        assert cfg.pretty_text == text
        stated = Config.fromfile(run.config).val_dataloader.to_dict()
        assert choosing == (cfg.val_dataloader.to_dict() != stated)
        assert choosing == ('held_out.json' in text)
