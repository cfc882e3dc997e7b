# Copyright (c) mmleuk authors. All rights reserved.
import copy
from typing import List, Tuple

from mmengine.config import ConfigDict

from .parts import (
    RESIZES,
    TEACHER_EPOCHS,
    check_roi_head,
    find,
    mean_teacher,
    scale_base_batch_size,
    train_pipeline_of,
)

BRANCHES = ('sup', 'unsup_teacher', 'unsup_student')
# Transforms of the base that the un-labelled views have, too: the one scale
# and the orientations of all methods.
GEOMETRY = (*RESIZES, 'RandomFlip', 'mmleuk.RandomTranspose')
# What RandAugment chooses from, by MMDetection.
COLORS = 'ColorTransform AutoContrast Equalize Sharpness Posterize'
COLORS += ' Solarize Color Contrast Brightness'
SHAPES = 'Rotate ShearX ShearY TranslateX TranslateY'
META_KEYS = 'img_id img_path ori_shape img_shape scale_factor flip'
META_KEYS += ' flip_direction homography_matrix'


def soft_teacher(
    base: ConfigDict,
    num_unsup: int = 2,
    burn_in: float = 1 / 3,
    unsup_weight: float = 2.0,
    teacher_epochs: float = TEACHER_EPOCHS,
) -> Tuple[dict, dict, dict, list]:
    """Train by MMDetection's Soft Teacher on the detector of a config.

    The labelled images are the sparse fields, the un-labelled ones the same
    fields without labels. In each step the student learns from as many images
    as with every other method: in burn-in from labelled ones alone, then from
    ``num_unsup`` un-labelled ones in the place of as many.

    Args:
        base (:obj:`ConfigDict`): The base, a two-stage detector.
        num_unsup (int): Un-labelled images of a step.
        burn_in (float): Share of the training that learns from labelled
            images alone: before, the teacher finds next to nothing.
        unsup_weight (float): Weight of the un-labelled loss. 2 is that of
            Soft Teacher where a batch has as many labelled images as others;
            MMDetection's 4 is for one to four.
        teacher_epochs (float): Epochs that the teacher averages over.
            MMDetection's momentum of 0.001 suits 180,000 steps; in a few
            hundred, three quarters of the last teacher would still be the
            first one. No score was looked at to choose it.

    Returns:
        tuple: ``model``, ``train_dataloader``, ``auto_scale_lr`` and
        ``custom_hooks``.
    """
    check_roi_head(base, max_stages=1)
    base = copy.deepcopy(base)
    detector, loader = base.model, base.train_dataloader
    # What a step of the burn-in needs, and what one after it needs.
    batch_size = loader.batch_size + num_unsup
    model = dict(
        _delete_=True,
        type='mmleuk.AttributeSoftTeacher',
        detector=detector,
        data_preprocessor=dict(
            type='MultiBranchDataPreprocessor',
            data_preprocessor=detector.data_preprocessor,
        ),
        semi_train_cfg=dict(
            freeze_teacher=True,
            burn_in=burn_in,
            num_sup=loader.batch_size - num_unsup,
            sup_weight=1.0,
            unsup_weight=unsup_weight,
            # The rest is MMDetection's.
            pseudo_label_initial_score_thr=0.5,
            rpn_pseudo_thr=0.9,
            cls_pseudo_thr=0.9,
            reg_pseudo_thr=0.02,
            jitter_times=10,
            jitter_scale=0.06,
            min_pseudo_bbox_wh=(1e-2, 1e-2),
        ),
        semi_test_cfg=dict(predict_on='teacher'),
    )
    sup, unsup = _pipelines(train_pipeline_of(base))
    train_dataloader = dict(
        _delete_=True,
        batch_size=batch_size,
        num_workers=loader.num_workers,
        persistent_workers=loader.persistent_workers,
        sampler=dict(
            type='mmleuk.EpochMultiSourceSampler',
            batch_size=batch_size,
            source_ratio=[loader.batch_size, num_unsup],
        ),
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(loader.dataset, pipeline=sup),
                dict(loader.dataset, pipeline=unsup),
            ],
        ),
    )
    return (
        model,
        train_dataloader,
        # The student learns from as many images as in the base.
        scale_base_batch_size(base, batch_size / loader.batch_size),
        [*base.get('custom_hooks', []), mean_teacher(teacher_epochs)],
    )


def _pipelines(pipeline: List[dict]) -> Tuple[list, list]:
    """Pipelines of a labelled and of an un-labelled image."""
    end = find(pipeline, 'PackLLDInputs')
    branch = dict(type='MultiBranch', branch_field=list(BRANCHES))
    sup = [*pipeline[:end], dict(branch, sup=pipeline[end])]
    view = [item for item in pipeline if item['type'] in GEOMETRY]
    pack_view = dict(type='PackDetInputs', meta_keys=META_KEYS.split())
    augment = dict(
        type='RandomOrder',
        transforms=[
            dict(
                type='RandAugment',
                aug_space=[[dict(type=name)] for name in names.split()],
                aug_num=1,
            )
            for names in (COLORS, SHAPES)
        ],
    )
    erase = dict(type='RandomErasing', n_patches=(1, 5), ratio=(0, 0.2))
    unsup = [
        pipeline[find(pipeline, 'LoadImageFromFile')],
        dict(type='LoadEmptyAnnotations'),
        dict(
            branch,
            unsup_teacher=[*view, pack_view],
            unsup_student=[*view, augment, erase, pack_view],
        ),
    ]
    return sup, unsup
