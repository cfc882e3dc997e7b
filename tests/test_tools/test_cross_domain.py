# Copyright (c) mmleuk authors. All rights reserved.
"""Scores on other microscopes, with stubs in place of trainings and tests."""

import importlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
NAMES = ('one', 'two', 'three')
# Leaves what a training leaves, unless it is to fail.
TRAIN = """
import pathlib, sys
work_dir = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
with open('trained.txt', 'a') as log:
    log.write(f'{work_dir}\\n')
if pathlib.Path('fails').exists():
    sys.exit(1)
(work_dir / 'last_checkpoint').write_text('somewhere/epoch_6.pth')
"""
# Finds every cell, and one beside it in the fields of `two`.
TEST = """
import json, pickle, runpy, sys
import numpy as np
config, out = sys.argv[1], sys.argv[sys.argv.index('--out') + 1]
results = []
cfg = runpy.run_path(config)
for part in cfg['test_dataloader']['dataset']['datasets']:
    labels = json.load(open(part['data_root'] + part['ann_file']))
    for image in labels['images']:
        boxes, scores = [[10, 10, 30, 30]], [0.9]
        if 'two' in image['file_name']:
            boxes.append([50, 50, 60, 60])
            scores.append(0.6)
        results.append(dict(
            img_path=part['data_root'] + 'images/' + image['file_name'],
            ori_shape=(64, 64),
            pred_instances=dict(
                bboxes=np.array(boxes, np.float32),
                scores=np.array(scores, np.float32),
                labels=np.zeros(len(boxes), np.int64),
            ),
        ))
with open(out, 'wb') as file:
    pickle.dump(results, file)
"""


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('cross_domain')


def write_set(root, name, number, patient=None, source=None):
    """Write two fields of training and one of test; give their configs."""
    parts = []
    for split, count in (('train', 2), ('val', 1)):
        images, cells = [], []
        for index in range(count):
            file = f'{name}_{split}_{index}.png'
            if patient is not None:
                file = f'{patient}_{index + 5 * (split == "val")}_1000_ALL.png'
            pixels = np.full((64, 64, 3), 10 * number, np.uint8)
            pixels[:, : index + 1 + 3 * (split == 'val')] = 200
            (root / name / 'images').mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name / 'images' / file), pixels)
            images.append(dict(id=index, file_name=file, width=64, height=64))
            cell = dict(id=index, image_id=index, category_id=0, iscrowd=0)
            cell['bbox'] = [10, 10, 20, 20]
            if source is not None:
                cell['source'] = f'{source}_{split}.jpg'
            cells.append(cell)
        file = root / name / f'{split}.json'
        categories = [dict(id=0, name='wbc')]
        file.write_text(
            json.dumps(
                dict(images=images, annotations=cells, categories=categories)
            )
        )
        parts.append(
            dict(
                type='mmleuk.LLDDataset',
                data_root=f'{root / name}/',
                ann_file=file.name,
                data_prefix=dict(img='images/'),
                metainfo=dict(classes=('wbc',)),
                test_mode=split == 'val',
                pipeline=[],
            )
        )
    return parts


def write_config(path, sets):
    """Write a joint config over sets."""
    train, test = (
        dict(dataset=dict(type='mmleuk.JointDataset', datasets=list(datasets)))
        for datasets in zip(*sets)
    )
    Config(
        dict(
            train_dataloader=train,
            val_dataloader=test,
            test_dataloader=test,
            val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(type='mmleuk.LLDMetric'),
            train_cfg=dict(max_epochs=6, val_interval=6),
        )
    ).dump(path)


@pytest.fixture
def run(benchmark, tmp_path, monkeypatch, capsys):
    """Run the benchmark in a folder with stub tools; give its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark.runs, 'ROOT', tmp_path)
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / 'train.py').write_text(TRAIN)
    (tmp_path / 'tools' / 'test.py').write_text(TEST)
    sets = [
        write_set(tmp_path / 'data', name, number)
        for number, name in enumerate(NAMES, 1)
    ]
    write_config('joint.py', sets)

    def start(*arguments):
        monkeypatch.setattr(
            sys,
            'argv',
            ['cross_domain.py', '--config', 'joint.py', *arguments],
        )
        benchmark.main()
        return capsys.readouterr().out

    return start


def trained(tmp_path):
    return (tmp_path / 'trained.txt').read_text().splitlines()


def test_scores_of_a_set_left_out(run, tmp_path):
    out = run('--leave-out', 'two', '--train-on', 'two', '--record', 'r.jsonl')
    assert '| one + three | 0 | 1.00 | 1.00 \\* | 1.00 |' in out
    left, alone = map(json.loads, Path('r.jsonl').read_text().splitlines())
    # The sets of the training know no false alarm: any score up to 0.9 is as
    # good, and of those the highest leaves out the one of the other set.
    assert left['train'] == ['one', 'three']
    assert left['scores']['score_threshold'] == pytest.approx(0.9, abs=0.011)
    assert left['scores']['two/precision'] == 1
    assert left['scores']['two/recall'] == 1
    assert left['scores']['two/AP50'] == pytest.approx(1)
    assert alone['train'] == ['two']
    folder = tmp_path / 'work_dirs' / 'cross_domain'
    assert (folder / 'table.md').read_text() in out
    assert (folder / 'heat_map.png').stat().st_size > 1000
    # Two sets have the steps of one that is repeated, and no one is
    # validated.
    cfg = Config.fromfile(folder / 'two' / 'seed_0' / 'config' / 'joint.py')
    (part,) = cfg.train_dataloader.dataset.datasets
    assert part.type == 'RepeatDataset'
    assert part.times == 2
    assert cfg.val_dataloader is None
    assert len(cfg.test_dataloader.dataset.datasets) == 3


def test_finished_runs_are_not_repeated(run, tmp_path):
    arguments = ('--leave-out', 'one', '--train-on', '--seeds', '0', '1')
    run(*arguments)
    assert len(trained(tmp_path)) == 2
    run(*arguments)
    run(*arguments, '--report-only')
    assert len(trained(tmp_path)) == 2
    with pytest.raises(SystemExit, match='another content'):
        run(*arguments, '--cfg-options', 'train_cfg.max_epochs=7')


def test_runs_of_other_options_are_not_averaged(run):
    arguments = ('--leave-out', 'one', '--train-on', '--record', 'r.jsonl')
    run(*arguments)
    other = ('--work-dir', 'other', '--cfg-options', 'train_cfg.max_epochs=7')
    assert '| two + three | 0 |' in run(*arguments, *other)
    assert len(Path('r.jsonl').read_text().splitlines()) == 2


def test_a_run_that_fails(run):
    Path('fails').touch()
    with pytest.raises(SystemExit, match=r'one \+ two, seed 0: .* code 1'):
        run('--leave-out', 'three', '--train-on')
    Path('fails').unlink()
    assert 'one + two' in run('--leave-out', 'three', '--train-on')


def test_all_trainings_by_default(benchmark):
    trainings = benchmark.list_trainings(NAMES)
    assert len(trainings) == 6
    assert trainings[0] == ('two', 'three')
    assert trainings[3:] == [('one',), ('two',), ('three',)]


def test_unknown_sets(run):
    with pytest.raises(SystemExit, match='sets x, expected some of one, two'):
        run('--leave-out', 'x')
    with pytest.raises(SystemExit, match='got no data set'):
        run('--leave-out', '--train-on')


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(patient='7'), 'such as the patient 7'),
        (dict(source='BNE_1'), 'such as the picture BNE_1_train'),
        (dict(number=1), 'share 3 patients or pictures'),
    ],
)
def test_sets_that_share_something(benchmark, tmp_path, settings, message):
    parts = {
        name: write_set(tmp_path, name, **{'number': number, **settings})
        for number, name in enumerate(NAMES[:2], 1)
    }
    with pytest.raises(ValueError, match=message):
        benchmark.check_overlap(parts)


def test_patients_within_a_set(benchmark, tmp_path):
    parts = dict(
        one=write_set(tmp_path, 'one', 1, patient='7'),
        two=write_set(tmp_path, 'two', 2),
    )
    benchmark.check_overlap(parts)
    parts['one'][1] = parts['one'][0]
    with pytest.raises(ValueError, match=r'one \(training\) and one \(test\)'):
        benchmark.check_overlap(parts)


def test_a_set_that_is_not_tested(benchmark, tmp_path):
    sets = [write_set(tmp_path, name, 1) for name in NAMES]
    sets[0][1] = sets[1][1]
    write_config(tmp_path / 'joint.py', sets)
    with pytest.raises(ValueError, match='tests on two, two, three'):
        benchmark.set_names(Config.fromfile(tmp_path / 'joint.py'))


def test_the_threshold_is_the_mean_of_sets(benchmark):
    # A large set of which scores from 0.3 are right, and a small one of which
    # those below 0.6 are wrong: each counts as much.
    large = np.full(1000, 0.8), np.ones(1000, bool), 1000
    small = np.array([0.8, 0.5]), np.array([True, False]), 1
    assert benchmark.choose_threshold([large, small]) == 0.8
    low = np.array([0.3]), np.array([True]), 1
    assert benchmark.choose_threshold([low]) == 0.3
