# Copyright (c) mmleuk authors. All rights reserved.
"""Whole trainings on sparse labels, in each process of a group."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from tiny_detector import TINY_DETECTOR

from mmleuk.engine.latest_checkpoint import find_checkpoint
from mmleuk.engine.run_config import build_runner, load_run_config
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
RUNTIME = Path(__file__).parents[2] / 'configs/_base_/default_runtime.py'
NUM_STEPS = 3
# Number of epochs, and the one before which a training is interrupted: the
# one of the second mining pass, or of the first pseudo-labels.
EPOCHS = dict(mined=(4, 3), cascade=(2, 1), sla_det=(2, 1))

# Learns from annotated regions alone; its frozen statistics do not differ
# from process to process.
BASE = (
    TINY_DETECTOR.replace('norm_eval=False', 'norm_eval=True').replace(
        'mmdet::_base_/default_runtime.py', RUNTIME.as_posix()
    )
    + """
model.update(train_cfg=dict(rpn_proposal=dict(max_per_img=20)))
for part in ('rpn', 'rcnn'):
    model['train_cfg'][part] = dict(
        assigner=dict(type='mmleuk.RegionMaxIoUAssigner'))
load = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
]
train_pipeline = [
    *load,
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmleuk.PackLLDInputs'),
]
test_pipeline = [
    *load,
    dict(type='mmleuk.PackLLDInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
        'instances', 'annotated_regions')),
]
fields = dict(
    type='mmleuk.LLDDataset',
    metainfo=dict(classes=('neutrophil', 'lymphocyte')),
    data_root='{folder}',
    ann_file='sparse.json',
    data_prefix=dict(img='images/'))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **fields),
    **loader)
val_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline, **fields),
    **loader)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmleuk.LLDMetric')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=9)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=2),
    dict(type='CosineAnnealingLR', T_max=2, convert_to_iter_based=True),
]
randomness = dict(seed=1)
"""
)

METHODS = dict(
    # Passes before epoch 1 (to calibrate), 2 and 3.
    mined="""
_base_ = './base.py'
train_cfg = dict(max_epochs=4)
from mmleuk.configs import mined
_base_.train_cfg.max_epochs = 4
model, train_pipeline, train_dataloader, param_scheduler, custom_hooks = mined(
    _base_, burn_in=0.5, mining_interval=1, num_orientations=2,
    hold_out=dict(share=0.5, seed=0), target_precision=0.1)
model.update(miner=dict(model['miner'], min_probability=0.1))
""",
    cascade="""
_base_ = './base.py'
head = dict(
    type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=16,
    roi_feat_size=7, num_classes=2, reg_class_agnostic=True,
    bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False),
    loss_bbox=dict(type='SmoothL1Loss'))
rcnn = _base_.model.train_cfg.rcnn
model = dict(
    type='CascadeRCNN',
    roi_head=dict(
        type='mmleuk.CascadeAttributeRoIHead', num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25], bbox_head=[head] * 3),
    train_cfg=dict(rcnn=[rcnn] * 3))
""",
    # Pseudo-labels in the second half, of every score.
    sla_det="""
_base_ = './base.py'
from mmleuk.configs import sla_det
model = dict(
    sla_det(_base_), pseudo_start=0.5, similarity_end=1.0, pseudo_end=1.0,
    pseudo_score_thr=0.0, similarity_score_thr=0.0, nms_score_thr=0.0)
""",
)


class Interruption(Exception):
    """Ends a training as a signal would."""


class Interrupt(Hook):
    """Ends a training before an epoch, and counts what is annotated.

    Args:
        epoch (int): The epoch, from 0.
    """

    def __init__(self, epoch):
        self.epoch = epoch
        self.num_cells = []

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise Interruption

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.num_cells.append(
            sum(len(s.gt_instances) for s in data_batch['data_samples'])
        )


def write_files(folder):
    """Write six fields and the configs.

    In three fields the left half is annotated, in three nothing is: at least
    once in an epoch only one of two processes has labels.
    """
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    images, annotations = [], []
    for number in range(6):
        name = f'{number}_1_1000_ALL.png'
        field = rng.integers(200, 255, (96, 96, 3)).astype(np.uint8)
        regions = [[0, 0, 48, 96]] if number % 2 else []
        images.append(
            dict(
                id=number,
                file_name=name,
                width=96,
                height=96,
                annotated_regions=regions,
            )
        )
        for x, label in ((6, 0), (54, 1)):
            y = int(rng.integers(5, 55))
            field[y : y + 36, x : x + 36] = (160, 60 + 80 * label, 100)
            if not regions or x > 48:
                continue
            codes = {
                attribute.json_key: int(rng.integers(size))
                for attribute, size in zip(SCHEMA, SCHEMA.sizes)
            }
            annotations.append(
                dict(
                    id=len(annotations),
                    image_id=number,
                    category_id=label,
                    bbox=[x, y, 36, 36],
                    area=36 * 36,
                    iscrowd=0,
                    **codes,
                )
            )
        cv2.imwrite(str(folder / 'images' / name), field)
    categories = [
        dict(id=0, name='neutrophil'),
        dict(id=1, name='lymphocyte'),
    ]
    (folder / 'sparse.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    text = BASE.replace('{folder}', folder.as_posix())
    (folder / 'base.py').write_text(text)
    for method, child in METHODS.items():
        (folder / f'{method}.py').write_text(child)


def load_config(path, work_dir):
    """The config of a run by torchrun."""
    return load_run_config(
        Config(
            dict(
                config=str(path),
                launcher='pytorch',
                cfg_options=None,
                work_dir=str(work_dir),
            )
        )
    )


def train(config, work_dir, interrupt_at=None):
    """Train, or go on with a training that was interrupted."""
    cfg = load_config(config, work_dir)
    cfg.experiment_name = f'{work_dir.name}-{interrupt_at}'
    if (work_dir / 'last_checkpoint').exists():
        cfg.resume, cfg.load_from = True, find_checkpoint(work_dir)
    barrier()
    runner = build_runner(cfg)
    hook = Interrupt(interrupt_at)
    runner.register_hook(hook)
    try:
        runner.train()
    except Interruption:
        pass
    # The main process has written the checkpoint.
    barrier()
    assert isinstance(runner.model, MMDistributedDataParallel)
    model = runner.model.module
    return dict(
        state=model.state_dict(),
        bank=read_bank(model),
        num_cells=hook.num_cells,
        scalars={
            key: buffer.data[0].tolist()
            for key, buffer in runner.message_hub.log_scalars.items()
        },
    )


def read_bank(model):
    """Scores in the bank by the name of the image."""
    if not hasattr(model, 'miner'):
        return {}
    return {
        Path(path).name: found.scores.tolist()
        for path, found in model.miner.bank.items()
    }


def work(rank, folder):
    """Train by each method, once in one go and once interrupted.

    Returns:
        dict[str, tuple]: What the whole training and the resumed one end
        with, by method.
    """
    os.environ['LOCAL_RANK'] = str(rank)
    results = {}
    for method in METHODS:
        config = folder / f'{method}.py'
        whole = train(config, folder / f'{method}_whole')
        work_dir = folder / f'{method}_resumed'
        train(config, work_dir, EPOCHS[method][1])
        results[method] = whole, train(config, work_dir)
    return results
