# Copyright (c) mmleuk authors. All rights reserved.
"""One round of self-training, run as people run it."""

import json
import os.path as osp
import runpy
import subprocess
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from test_train_test import (
    CONFIG,
    ROOT,
    read_scalars,
    run,
    run_here,
    write_data,
)

from mmleuk.datasets.sparsify import sparsify

# The first one waits for all trainings of a round.
pytestmark = pytest.mark.timeout(1200)

LABELLER = """
_base_ = './tiny.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.RegionCrop'),
    dict(type='mmleuk.PackLLDInputs'),
]
train_cfg = dict(max_epochs=4)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='mmleuk.LLDDataset',
            ann_file='no_such_file.json',
            # Would change what `indices` means.
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=train_pipeline)))
"""
STUDENT = """
_base_ = './tiny.py'
train_cfg = dict(max_epochs=4)
train_dataloader = dict(
    dataset=dict(ann_file='sparse.json', indices=[1, 2, 3]))
self_training = dict(
    labeller='labellers/crops.py',
    labeller_share=0.25,
    score_thr=0.0,
    iou_thr=0.5)
"""
OPTIONS = ('--cfg-options', 'randomness.seed=3')


def write_files(folder):
    """Fields with a rectangle of a third of their area, and two configs."""
    write_data(folder)
    full = json.loads((folder / 'train.json').read_text())
    sparse = sparsify(full, share=0.3, placement='cells')
    (folder / 'sparse.json').write_text(json.dumps(sparse))
    config = CONFIG.replace('{data_root}', folder.as_posix())
    (folder / 'labellers').mkdir()
    (folder / 'tiny.py').write_text(config)
    (folder / 'labellers' / 'tiny.py').write_text(config)
    (folder / 'labellers' / 'crops.py').write_text(LABELLER)
    (folder / 'student.py').write_text(STUDENT)
    return sparse


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with data, configs and the work directory of one round."""
    folder = tmp_path_factory.mktemp('self_training')
    write_files(folder)
    run('self_train.py', 'student.py', *OPTIONS, cwd=folder)
    return folder


def read_config(path):
    return Config.fromfile(path)


@pytest.mark.slow
def test_both_stages_take_one_budget(trained):
    work_dir = trained / 'work_dirs' / 'student'
    assert (work_dir / 'labeller' / 'epoch_1.pth').is_file()
    assert (work_dir / 'epoch_3.pth').is_file()
    labeller = read_config(work_dir / 'labeller' / 'labeller.py')
    student = read_config(work_dir / 'student.py')
    assert labeller.train_cfg.max_epochs == 1
    assert student.train_cfg.max_epochs == 3
    assert labeller.randomness == student.randomness == dict(seed=3)


@pytest.mark.slow
def test_the_labeller_learns_from_the_fields_of_the_config(trained):
    work_dir = trained / 'work_dirs' / 'student'
    labeller = read_config(work_dir / 'labeller' / 'labeller.py')
    wrapper = labeller.train_dataloader.dataset
    assert (wrapper.type, wrapper.times) == ('RepeatDataset', 2)
    assert wrapper.dataset.ann_file == 'sparse.json'
    assert wrapper.dataset.indices == [1, 2, 3]
    assert 'filter_cfg' not in wrapper.dataset
    assert wrapper.dataset.pipeline[2].type == 'mmleuk.RegionCrop'
    # Nothing is chosen by its score on validation data.
    assert labeller.val_dataloader is None


@pytest.mark.slow
def test_all_else_is_background(trained):
    work_dir = trained / 'work_dirs' / 'student'
    sparse = json.loads((trained / 'sparse.json').read_text())
    labels = json.loads((work_dir / 'labelled.json').read_text())
    assert labels['categories'] == sparse['categories']
    regions = {
        image['id']: image['annotated_regions'][0]
        for image in sparse['images'][1:]
    }
    assert [image['id'] for image in labels['images']] == list(regions)
    assert not any('annotated_regions' in image for image in labels['images'])

    kept = [cell for cell in labels['annotations'] if 'score' not in cell]
    stated = [c for c in sparse['annotations'] if c['image_id'] in regions]
    assert [(cell['image_id'], cell['bbox']) for cell in kept] == [
        (cell['image_id'], cell['bbox']) for cell in stated
    ]
    found = [cell for cell in labels['annotations'] if 'score' in cell]
    assert found
    for cell in found:
        x1, y1, x2, y2 = regions[cell['image_id']]
        x, y, width, height = cell['bbox']
        inside_x = x1 <= x + width / 2 <= x2
        assert not (inside_x and y1 <= y + height / 2 <= y2)
        assert cell['nucleolus'] in (0, 1)


@pytest.mark.slow
def test_the_student_is_scored(trained):
    scores = read_scalars(trained / 'work_dirs' / 'student')[-1]
    assert 0 <= scores['lld/bbox_mAP'] <= 1
    assert scores['step'] == 3


@pytest.mark.slow
def test_an_interrupted_run_goes_on(trained):
    work_dir = trained / 'work_dirs' / 'student'
    labels = (work_dir / 'labelled.json').read_bytes()
    weights = work_dir / 'labeller' / 'epoch_1.pth'
    before = weights.stat().st_mtime_ns
    (work_dir / 'labelled.json').unlink()
    for path in (work_dir / 'epoch_3.pth', work_dir / 'last_checkpoint'):
        path.unlink()
    run('self_train.py', 'student.py', *OPTIONS, cwd=trained)
    assert weights.stat().st_mtime_ns == before
    assert (work_dir / 'labelled.json').read_bytes() == labels
    assert (work_dir / 'epoch_3.pth').is_file()


@pytest.mark.slow
def test_results_of_two_settings_do_not_mix(trained, monkeypatch):
    monkeypatch.chdir(trained)
    message = run_here(
        monkeypatch,
        'self_train.py',
        'student.py',
        *OPTIONS,
        'self_training.score_thr=0.5',
    )
    assert 'student.py is there with another content' in message


@pytest.mark.parametrize(
    'options, message',
    [
        (['self_training.labeller=absent.py'], 'there is no labeller absent'),
        (['self_training.labeller_share=1.0'], 'labeller_share is 1.0'),
        (['self_training.threshold=1'], "'threshold'], expected ['iou_thr'"),
        (
            ['train_dataloader.dataset.dataset.type=mmleuk.LLDDataset'],
            'expected one LLDDataset, without a wrapper',
        ),
    ],
)
def test_a_wrong_config_is_named(tmp_path, monkeypatch, options, message):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    ended = run_here(
        monkeypatch,
        'self_train.py',
        'student.py',
        '--cfg-options',
        *options,
    )
    assert message in ended


def test_a_missing_config_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_here(monkeypatch, 'self_train.py', 'absent.py') == 2
    assert 'there is no config absent.py' in capsys.readouterr().err


@pytest.mark.parametrize(
    'settings, script, before, after',
    [
        (dict(gpus=4), 'dist_test.sh', [], ['4']),
        (
            dict(gpus=4, partition='short'),
            'slurm_test.sh',
            ['short', 'self_train_test'],
            [],
        ),
    ],
)
def test_each_stage_takes_several_gpus(
    monkeypatch, settings, script, before, after
):
    """The scripts hand on their arguments: see test_train_test.py."""
    calls = []
    monkeypatch.setattr(
        subprocess,
        'run',
        lambda command, env: (
            calls.append((command, env)) or SimpleNamespace(returncode=0)
        ),
    )
    tools = osp.join(ROOT, 'tools')
    tool = runpy.run_path(osp.join(tools, 'self_train.py'))
    tool['run_tool']('test', ['a.py', 'b.pth'], '--out', 'c', **settings)
    ((command, environment),) = calls
    assert command == [
        'bash',
        osp.join(tools, script),
        *before,
        'a.py',
        'b.pth',
        *after,
        '--out',
        'c',
    ]
    assert after or environment['GPUS'] == '4'


def test_torchrun_around_all_stages_is_refused(tmp_path, monkeypatch, capsys):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    assert run_here(monkeypatch, 'self_train.py', 'student.py') == 2
    assert 'torchrun started it, expected one' in capsys.readouterr().err
