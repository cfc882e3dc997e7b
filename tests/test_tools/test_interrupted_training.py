# Copyright (c) mmleuk authors. All rights reserved.
"""A mining training that is killed ends as one that is not."""

import json
import os.path as osp
import runpy

import pytest
import torch
from test_train_test import CONFIG, ROOT, run, write_data

TOOL = 'dev/benchmarks/interrupted_training.py'
# Everything that a training can lose: a teacher, a bank, a calibration, a
# cache of images, workers.
MINING = """
_base_ = './tiny.py'
hold_out = dict(share=0.5, seed=0)
preprocessor = dict(type='DetDataPreprocessor', pad_size_divisor=32)
detector = _base_.model
detector.data_preprocessor = preprocessor
for stage in (detector.train_cfg.rpn, detector.train_cfg.rcnn):
    stage.sampler.type = 'mmleuk.SparseRegionSampler'
    stage.assigner.type = 'mmleuk.RegionMaxIoUAssigner'
model = dict(
    _delete_=True,
    type='mmleuk.RegionMiningDetector',
    detector=detector,
    data_preprocessor=preprocessor,
    miner=dict(
        type='mmleuk.RegionMiner', num_classes=2, hold_out=hold_out,
        target_precision=0.1, min_probability=0.1))
load, annotate, flip, pack = _base_.train_pipeline
train_pipeline = [
    load,
    annotate,
    dict(type='mmleuk.HoldOutRegions', **hold_out),
    flip,
    dict(type='mmleuk.CachedRegionMosaic', img_scale=(96, 96)),
    pack,
]
train_dataloader = dict(
    num_workers=1, persistent_workers=True,
    dataset=dict(pipeline=train_pipeline))
mining_dataloader = dict(
    batch_size=2, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=_base_.test_pipeline,
                 **_base_.dataset))
custom_hooks = [
    dict(type='MeanTeacherHook', momentum=0.1, skip_buffer=False),
    dict(type='mmleuk.RegionMiningHook', dataloader=mining_dataloader,
         begin=1),
]
train_cfg = dict(max_epochs=5, val_interval=100)
default_hooks = dict(
    checkpoint=dict(type='mmleuk.AtomicCheckpointHook', interval=1,
                    max_keep_ckpts=1),
    epoch_seed=dict(type='mmleuk.EpochSeedHook'))
"""


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(osp.join(ROOT, 'tools/dev/benchmarks'))
    return runpy.run_path(osp.join(ROOT, 'tools', TOOL))


@pytest.fixture
def config(tmp_path):
    write_data(tmp_path)
    labels = json.loads((tmp_path / 'train.json').read_text())
    for image in labels['images']:
        image['annotated_regions'] = [[0, 0, 50, 96]]
    labels['annotations'] = [
        cell for cell in labels['annotations'] if cell['bbox'][0] < 40
    ]
    (tmp_path / 'train.json').write_text(json.dumps(labels))
    path = tmp_path / 'mined.py'
    tiny = CONFIG.replace('{data_root}', f'{tmp_path}/')
    (tmp_path / 'tiny.py').write_text(tiny)
    path.write_text(MINING)
    return path


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_ends_the_same(config, tmp_path):
    done = run(TOOL, config, '--kills', 1, '--work-dir', 'runs', cwd=tmp_path)
    assert 'Killed 1 times' in done.stdout, done.stdout
    assert 'Both runs ended the same, bit for bit.' in done.stdout
    checkpoint = torch.load(
        tmp_path / 'runs/killed/epoch_5.pth', weights_only=False
    )
    names = checkpoint['state_dict'].keys()
    for part in ('teacher.', 'student.', 'miner.calibrators.', 'miner.bank'):
        assert any(name.startswith(part) for name in names), part


def test_what_differs_is_named(tool):
    one = dict(a=[1, torch.zeros(2)], b=dict(c=torch.ones(1), d='x'))
    other = dict(a=[1, torch.ones(2)], b=dict(c=torch.ones(1), d='y'), e=1)
    assert tool['differences'](one, one) == []
    assert tool['differences'](one, other) == ['.a.1', '.b.d', '.e']
    nan = torch.tensor([float('nan')])
    assert tool['differences'](nan, nan.clone()) == []
    assert tool['differences'](torch.zeros(1), torch.zeros(2), 'x') == ['x']
    assert tool['count'](one) == 4
