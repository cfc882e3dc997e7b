# Copyright (c) mmleuk authors. All rights reserved.
"""Calibrated mining with detectors of one stage, and their attributes."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from test_configs import CONFIG_DIR, drop_checkpoints, read

from mmleuk import configs
from mmleuk.models.task_modules import SparseRegionPseudoSampler
from mmleuk.models.utils import heads_without_regions

FOLDER = CONFIG_DIR / 'region_sparse'
# Whether the head samples, so that doubtful area can become background.
SAMPLES = dict(atss_lite0_fpn=True, rtmdet_lite0_fpn=True, dino_lite0=False)
EACH = pytest.mark.parametrize('name', SAMPLES)


def load(method, name):
    return copy.deepcopy(
        read(FOLDER / f'{method}-attr-{name}_lld-40x-sparse.py')
    )


@EACH
@pytest.mark.parametrize('method', ['ignore', 'mined'])
def test_detectors_know_regions_and_sample(method, name):
    register_all_modules()
    cfg = load(method, name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert list(heads_without_regions(model)) == []
    detector = getattr(model, 'student', model)
    sampler = getattr(detector.bbox_head, 'sampler', None)
    is_ours = isinstance(sampler, SparseRegionPseudoSampler)
    assert is_ours == (method == 'mined' and SAMPLES[name])


@EACH
def test_all_but_regions_and_mining_are_those_of_all_labels(name):
    full = read(CONFIG_DIR / f'attribute_dense/attr-{name}_lld-40x.py')
    ignore, mined = load('ignore', name), load('mined', name)
    for key in set(full.model) - {'train_cfg', 'bbox_head'}:
        assert ignore.model[key] == full.model[key]
        assert mined.model.detector[key] == full.model[key]
    for cfg in (ignore, mined):
        assert cfg.train_cfg == full.train_cfg
        assert cfg.optim_wrapper == full.optim_wrapper
        assert cfg.train_dataloader.batch_size == (
            full.train_dataloader.batch_size
        )


def test_settings_of_a_sampler_stay():
    base = ConfigDict(load('ignore', 'atss_lite0_fpn').to_dict())
    base.model.train_cfg.sampler = dict(
        type='PseudoSampler', max_presence_probability=0.1
    )
    model, *_ = configs.mined(base)
    assert model['detector'].train_cfg.sampler == dict(
        type='mmleuk.SparseRegionPseudoSampler', max_presence_probability=0.1
    )


@pytest.mark.parametrize('name', ['fcos_r50_fpn', 'dino-4scale_r50'])
def test_student_and_teacher_without_a_sampler(name):
    """Heads that read none; DINO writes into the config of both."""
    register_all_modules()
    ignore = f'ignore-{name}_lld-sparse-h40x-c1.py'
    model, *_ = configs.mined(read(FOLDER / ignore))
    model.pop('_delete_')
    cfg = ConfigDict(model=model)
    drop_checkpoints(cfg.model)
    before = copy.deepcopy(cfg.model)
    with torch.device('meta'):
        built = MODELS.build(cfg.model)
    assert cfg.model == before
    shapes = [
        {key: value.shape for key, value in part.state_dict().items()}
        for part in (built.student, built.teacher)
    ]
    assert shapes[0] == shapes[1]


def write_fields(folder, lld_files):
    """Six fields, each with a labelled cell and a cell outside."""
    rng = np.random.default_rng(0)
    images, cells = [], []
    places = folder / 'lld_40x/H_40X_C2/images/train'
    places.mkdir(parents=True)
    for number in range(6):
        name = f'{number}_1_1_400_ALL.png'
        field = rng.integers(200, 255, (400, 400, 3)).astype(np.uint8)
        for left in (60, 260):
            field[150:210, left : left + 60] = (160, 60, 100)
        cv2.imwrite(str(places / name), field)
        images.append(
            dict(
                id=number,
                file_name=name,
                width=400,
                height=400,
                annotated_regions=[[20, 100, 200, 300]],
            )
        )
        cells.append(lld_files.annotation(number, number, (60, 150, 60, 60)))
    lld_files.json(folder / 'lld_40x_json/train_sparse.json', images, cells)


class CountMined(Hook):
    """Counts the mined cells that the student learns from, by epoch."""

    def __init__(self):
        self.by_epoch = {}

    def before_train(self, runner):
        # Of random weights the boxes of RTMDet have no area.
        for layer in getattr(runner.model.student.bbox_head, 'rtm_reg', ()):
            torch.nn.init.constant_(layer.bias, 2.0)
        label = runner.model.miner.label

        def count(samples):
            samples = label(samples)
            # Labelled cells have the probability 1.
            mined = sum(
                int((sample.gt_instances.probs < 1).sum())
                for sample in samples
            )
            before = self.by_epoch.get(runner.epoch, 0)
            self.by_epoch[runner.epoch] = before + mined
            return samples

        runner.model.miner.label = count

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        assert torch.isfinite(outputs['loss'])
        assert outputs['loss_attribute'] >= 0


@pytest.mark.slow
@pytest.mark.parametrize('name', ['rtmdet_lite0_fpn'])
def test_a_whole_training_mines(name, tmp_path, lld_files):
    """Burn-in, release, a pass of the teacher, and an epoch with its cells."""
    register_all_modules()
    write_fields(tmp_path, lld_files)
    (tmp_path / 'base.py').write_text(
        f"_base_ = '{FOLDER}/ignore-attr-{name}_lld-40x-sparse.py'\n"
        'train_cfg = dict(max_epochs=3, val_interval=9)\n'
        'train_dataloader = dict(num_workers=0, persistent_workers=False,\n'
        f"    batch_size=2, dataset=dict(data_root='{tmp_path}/'))\n"
        'val_dataloader = val_cfg = val_evaluator = None\n'
    )
    (tmp_path / 'mined.py').write_text(
        "_base_ = './base.py'\n"
        'from mmleuk.configs import mined\n'
        'model, train_pipeline, train_dataloader, param_scheduler, '
        'custom_hooks = mined(\n'
        '    _base_, hold_out=dict(share=0.5, seed=0), num_orientations=2,\n'
        # So short a training has no score that would be trusted.
        '    mosaic_share=0.0, target_precision=1e-6)\n'
        "model['miner'].update(min_probability=0.0)\n"
        "model['detector'].test_cfg.score_thr = 0.0\n"
    )
    cfg = Config.fromfile(tmp_path / 'mined.py')
    drop_checkpoints(cfg.model)
    cfg.work_dir = str(tmp_path / 'runs')
    runner = Runner.from_cfg(cfg)
    count = CountMined()
    # Before the teacher gets the student's weights.
    runner.register_hook(count, priority='VERY_HIGH')
    runner.train()
    assert list(count.by_epoch) == [0, 1, 2]
    assert count.by_epoch[0] == count.by_epoch[1] == 0
    assert count.by_epoch[2] > 0
