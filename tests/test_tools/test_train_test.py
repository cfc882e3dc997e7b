# Copyright (c) mmleuk authors. All rights reserved.
"""The two runners, run as people run them."""

import json
import os
import os.path as osp
import pickle
import runpy
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest
from tiny_detector import TINY_DETECTOR

from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

ROOT = osp.abspath(osp.join(osp.dirname(__file__), '../..'))
SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
CLASSES = ('neutrophil', 'lymphocyte')

CONFIG = (
    TINY_DETECTOR
    + """
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmleuk.PackLLDInputs'),
]
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
             'flip', 'flip_direction', 'instances', 'annotated_regions')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.PackLLDInputs', meta_keys=meta_keys),
]
tta_model = dict(
    type='mmleuk.AttributeTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=5))
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(96, 96), keep_ratio=True)],
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True)],
        [dict(type='mmleuk.PackLLDInputs', meta_keys=meta_keys)],
    ]),
]
dataset = dict(
    type='mmleuk.LLDDataset',
    metainfo=dict(classes=('neutrophil', 'lymphocyte')),
    data_root='{data_root}',
    ann_file='train.json',
    data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='mmleuk.LLDMetric')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.001, momentum=0.9))
custom_hooks = [dict(type='mmleuk.TypeProfileHook')]
"""
)


def write_data(folder):
    """Write four fields with two cells each, in the released layout."""
    rng = np.random.default_rng(0)
    os.makedirs(folder / 'images')
    images, annotations = [], []
    for image_id in range(4):
        name = f'{image_id}_1_1000_ALL.png'
        field = rng.integers(200, 255, (96, 96, 3)).astype(np.uint8)
        images.append(dict(id=image_id, file_name=name, width=96, height=96))
        for x, label in ((8, 0), (52, 1)):
            y = int(rng.integers(5, 55))
            field[y : y + 36, x : x + 36] = (160, 60, 100)
            codes = {
                attribute.json_key: int(rng.integers(size))
                for attribute, size in zip(SCHEMA, SCHEMA.sizes)
            }
            annotations.append(
                dict(
                    id=len(annotations),
                    image_id=image_id,
                    category_id=label,
                    bbox=[x, y, 36, 36],
                    area=36 * 36,
                    iscrowd=0,
                    **codes,
                )
            )
        cv2.imwrite(str(folder / 'images' / name), field)
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES)]
    (folder / 'train.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )


def run(tool, *args, cwd, check=True):
    """Run a tool in a process of its own, in a folder of the caller's."""
    paths = [ROOT, os.environ.get('PYTHONPATH', '')]
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(filter(None, paths)),
        OMP_NUM_THREADS='1',
    )
    done = subprocess.run(
        [sys.executable, osp.join(ROOT, 'tools', tool), *map(str, args)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with data, config and the work directory of one epoch."""
    folder = tmp_path_factory.mktemp('runners')
    write_data(folder)
    config = CONFIG.replace('{data_root}', folder.as_posix())
    (folder / 'tiny.py').write_text(config)
    # Without --work-dir, from another folder than that of the package.
    run(
        'train.py', 'tiny.py', '--cfg-options', 'randomness.seed=3', cwd=folder
    )
    return folder


def read_scalars(work_dir):
    """All lines of the newest run's machine-readable log."""
    newest = max(path for path in os.listdir(work_dir) if path[:2] == '20')
    path = osp.join(work_dir, newest, 'vis_data', 'scalars.json')
    with open(path) as file:
        return [json.loads(line) for line in file]


@pytest.mark.slow
def test_train_trains_and_scores(trained):
    work_dir = trained / 'work_dirs' / 'tiny'
    assert (work_dir / 'epoch_1.pth').is_file()
    scores = read_scalars(work_dir)[-1]
    assert 0 <= scores['lld/bbox_mAP_50'] <= 1
    assert 0 <= scores['lld/attr_macro_f1_e2e'] <= 1
    assert scores['lld/attr_nucleolus_support_e2e'] == 8
    # --cfg-options reaches the run.
    assert 'seed=3' in (work_dir / 'tiny.py').read_text()


@pytest.mark.slow
@pytest.mark.cuda
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_train_in_mixed_precision(trained, dtype):
    work_dir = trained / dtype
    run(
        'train.py',
        'tiny.py',
        '--amp',
        *('--work-dir', work_dir),
        '--cfg-options',
        f'optim_wrapper.dtype={dtype}',
        # As in all of our configs.
        'model.rpn_head.type=mmleuk.BF16RPNHead',
        'model.roi_head.bbox_roi_extractor.type='
        'mmleuk.RobustSingleRoIExtractor',
        cwd=trained,
    )
    assert 'AmpOptimWrapper' in (work_dir / 'tiny.py').read_text()
    # Written by the metric, after the last step.
    assert 0 <= read_scalars(work_dir)[-1]['lld/bbox_mAP_50'] <= 1
    losses = [
        line['loss'] for line in read_scalars(work_dir) if 'loss' in line
    ]
    assert np.isfinite(losses).all()


@pytest.mark.slow
def test_train_resumes_its_own_checkpoint(trained):
    work_dir = trained / 'resumed'
    os.makedirs(work_dir)
    first = trained / 'work_dirs' / 'tiny' / 'epoch_1.pth'
    (work_dir / 'epoch_1.pth').write_bytes(first.read_bytes())
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    options = ('--work-dir', work_dir, '--resume')
    done = run(
        'train.py',
        'tiny.py',
        *options,
        '--cfg-options',
        'train_cfg.max_epochs=2',
        'train_cfg.val_interval=5',
        cwd=trained,
    )
    assert (work_dir / 'epoch_2.pth').is_file()
    assert 'resumed epoch: 1' in done.stdout


@pytest.mark.slow
def test_test_scores_dumps_and_draws(trained):
    checkpoint = trained / 'work_dirs' / 'tiny' / 'epoch_1.pth'
    work_dir = trained / 'tested'
    done = run(
        'test.py',
        'tiny.py',
        checkpoint,
        '--work-dir',
        work_dir,
        '--out',
        trained / 'out.pkl',
        '--show-dir',
        'drawn',
        cwd=trained,
    )
    # The table is the output, and the weights are those that were trained.
    assert 'macro-F1 e2e' in done.stdout
    trained_scores = read_scalars(trained / 'work_dirs' / 'tiny')[-1]
    (run_dir,) = [p for p in work_dir.iterdir() if p.name[:2] == '20']
    scores = json.loads((run_dir / f'{run_dir.name}.json').read_text())
    for key in (
        'lld/bbox_mAP',
        'lld/attr_macro_f1_e2e',
        'lld/attr_macro_f1_type_majority',
    ):
        # Without a match the scores of attributes are not defined.
        assert scores[key] == pytest.approx(
            trained_scores[key], abs=1e-4, nan_ok=True
        )
    assert len(list((run_dir / 'drawn').iterdir())) == 4

    with open(trained / 'out.pkl', 'rb') as file:
        results = pickle.load(file)
    assert len(results) == 4
    for result in results:
        predictions = result['pred_instances']
        count = len(predictions['bboxes'])
        assert count > 0
        assert predictions['attribute_labels'].shape == (count, len(SCHEMA))
        assert predictions['attribute_scores'].shape == (count, len(SCHEMA))
        assert predictions['attribute_probs'].shape == (
            count,
            SCHEMA.num_values,
        )


@pytest.mark.slow
def test_test_merges_views_of_widened_fields(trained):
    checkpoint = trained / 'work_dirs' / 'tiny' / 'epoch_1.pth'
    out, work_dir = trained / 'tta.pkl', trained / 'widened'
    run(
        'test.py',
        'tiny.py',
        checkpoint,
        *('--tta', '--out', out, '--work-dir', work_dir),
        *('--cfg-options', 'unsqueeze=0.6'),
        cwd=trained,
    )
    stored = (work_dir / 'tiny.py').read_text()
    assert 'mmleuk.UnsqueezeResize' in stored
    assert 'unsqueeze =' not in stored
    with open(out, 'rb') as file:
        results = pickle.load(file)
    for result in results:
        assert result['img_shape'] == (96, 160)
        # In pixels of the file.
        assert result['pred_instances']['bboxes'].max() <= 96
        predictions = result['pred_instances']
        assert 0 < len(predictions['bboxes']) <= 5
        sums = predictions['attribute_probs'].sum(dim=1)
        np.testing.assert_allclose(sums, len(SCHEMA), rtol=1e-4)


def run_here(monkeypatch, tool, *args):
    """Run a tool that ends early in this process, which saves imports."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(osp.join(ROOT, 'tools', tool), run_name='__main__')
    return ended.value.code


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a config and an empty checkpoint."""
    (tmp_path / 'tiny.py').write_text(CONFIG)
    (tmp_path / 'epoch_1.pth').touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tta_without_a_pipeline_is_named(folder, monkeypatch):
    head, tail = CONFIG.split('tta_pipeline = [')
    (folder / 'no_tta.py').write_text(head + tail.split('\n]\n', 1)[1])
    message = run_here(
        monkeypatch, 'test.py', 'no_tta.py', 'epoch_1.pth', '--tta'
    )
    assert '--tta: no_tta.py has no tta_pipeline' in message


def test_auto_scale_lr_without_a_base_is_named(folder, monkeypatch):
    message = run_here(monkeypatch, 'train.py', 'tiny.py', '--auto-scale-lr')
    assert 'tiny.py does not say for which batch size' in message


@pytest.mark.parametrize(
    'tool, args, message',
    [
        ('train.py', ['absent.py'], 'there is no config absent.py'),
        (
            'train.py',
            ['tiny.py', '--resume', 'absent.pth'],
            'there is no checkpoint absent.pth to resume',
        ),
        ('test.py', ['absent.py', 'x.pth'], 'there is no config absent.py'),
        (
            'test.py',
            ['tiny.py', 'absent.pth'],
            'there is no checkpoint absent.pth',
        ),
        (
            'test.py',
            ['tiny.py', 'epoch_1.pth', '--out', 'out.json'],
            '--out is out.json, expected a name ending in .pkl',
        ),
    ],
)
def test_a_wrong_command_line_is_named(
    folder, monkeypatch, capsys, tool, args, message
):
    assert run_here(monkeypatch, tool, *args) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_train_and_score(trained):
    """By torchrun on the CPU, on one half of each batch each."""
    folder = trained / 'two'
    environment = dict(
        os.environ, PYTHONPATH=ROOT, OMP_NUM_THREADS='1', PORT=str(free_port())
    )
    done = subprocess.run(
        ['bash', osp.join(ROOT, 'tools/dist_train.sh'), 'tiny.py', '2']
        + ['--work-dir', folder, '--cfg-options', 'randomness.seed=3']
        + ['train_dataloader.batch_size=1'],
        cwd=trained,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Distributed launcher: pytorch' in done.stdout
    assert 'GPU number: 2' in done.stdout
    assert (folder / 'epoch_1.pth').is_file()
    # All fields are scored, each once.
    scores = read_scalars(folder)[-1]
    assert scores['lld/attr_nucleolus_support_e2e'] == 8


def free_port():
    """A port that no other program uses."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


# What the scripts call, and the arguments that they take after the first.
TOOLS = dict(
    train=('train.py', []),
    test=('test.py', ['model.pth']),
    predict=('image_demo.py', ['model.pth']),
)


@pytest.mark.parametrize('script', TOOLS)
def test_dist_scripts_hand_on_their_arguments(script, tmp_path):
    """A stand-in for torchrun writes down how it was called."""
    record = tmp_path / 'torchrun'
    record.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    record.chmod(0o755)
    environment = dict(
        os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', PORT='29777'
    )
    tool, checkpoint = TOOLS[script]
    path = osp.join(ROOT, 'tools', f'dist_{script}.sh')
    done = subprocess.run(
        ['bash', path, 'my config.py']
        + checkpoint
        + ['4', '--work-dir', 'my dir'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert '--nproc_per_node=4' in lines
    assert '--master_port=29777' in lines
    tool = osp.join(ROOT, 'tools', tool)
    position = [osp.abspath(line) for line in lines].index(tool)
    assert lines[position + 1 :] == [
        'my config.py',
        *checkpoint,
        '--launcher',
        'pytorch',
        '--work-dir',
        'my dir',
    ]


@pytest.mark.parametrize('script', TOOLS)
def test_slurm_scripts_hand_on_their_arguments(script, tmp_path):
    """A stand-in for srun writes down how it was called."""
    record = tmp_path / 'srun'
    record.write_text('#!/bin/sh\nprintf "%s\\n" "$MASTER_PORT" "$@"\n')
    record.chmod(0o755)
    environment = dict(
        os.environ,
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        PORT='29777',
        GPUS='4',
        SRUN_ARGS='--time=1:00 --exclusive',
    )
    tool, checkpoint = TOOLS[script]
    path = osp.join(ROOT, 'tools', f'slurm_{script}.sh')
    done = subprocess.run(
        ['bash', path, 'gpu', 'my job']
        + ['my config.py', *checkpoint, '--work-dir', 'my dir'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == '29777'
    for argument in (
        '--partition=gpu',
        '--job-name=my job',
        '--gres=gpu:4',
        '--ntasks=4',
        '--ntasks-per-node=4',
        '--time=1:00',
        '--exclusive',
    ):
        assert argument in lines
    tool = osp.join(ROOT, 'tools', tool)
    position = [osp.abspath(line) for line in lines].index(tool)
    assert lines[position + 1 :] == [
        'my config.py',
        *checkpoint,
        '--launcher',
        'slurm',
        '--work-dir',
        'my dir',
    ]
