# Copyright (c) mmleuk authors. All rights reserved.
import copy
from typing import List, Tuple

from mmengine.config import ConfigDict

from .mosaic import mosaic_transform
from .parts import (
    TEACHER_EPOCHS,
    bbox_heads,
    inner_dataset,
    inner_datasets,
    insert,
    mean_teacher,
    train_pipeline_of,
    training_parts,
    use_region_bbox_heads,
    warmups,
    with_pipeline,
)
from .with_regions import REGION_HEADS

# Learning rate at the end of the burn-in, as a share of the highest.
LOWEST_LR = 0.05


def mined(
    base: ConfigDict,
    burn_in: float = 2 / 3,
    mining_interval: int = 2,
    num_orientations: int = 4,
    restart_weight: float = 0.7,
    hold_out: dict = dict(share=0.2, seed=0),
    mosaic_share: float = 0.5,
    target_precision: float = 0.95,
    teacher_epochs: float = TEACHER_EPOCHS,
    cut_at_edges: bool = False,
    min_visible: float = 0.5,
) -> Tuple[dict, list, dict, list, list]:
    """Learn from cells that a calibrated teacher mines (docs/mining.md).

    Args:
        base (:obj:`ConfigDict`): The base, with a schedule in epochs.
        burn_in (float): Share of the epochs that learns from labels alone, on
            mosaics of annotated regions: a teacher has to be good before it
            mines.
        mining_interval (int): Epochs between two mining passes.
        num_orientations (int): Views of each field in a mining pass, turned
            and mirrored; their mean has better boxes and types.
        restart_weight (float): Learning rate after the burn-in, as a share of
            that before.
        hold_out (dict): ``share`` and ``seed`` of the fields whose labels
            calibrate the teacher. Halfway through the burn-in they are
            released to the loss: labels are too expensive to be kept back.
        mosaic_share (float): Share of mosaics among the images after the
            burn-in, so that true types are seen as often as mined ones.
        target_precision (float): Precision of the mined cells of a type.
        teacher_epochs (float): Epochs that the teacher averages over.
        cut_at_edges (bool): See :func:`mosaic`.
        min_visible (float): See :func:`mosaic`.

    Returns:
        tuple: ``model``, ``train_pipeline``, ``train_dataloader``,
        ``param_scheduler`` and ``custom_hooks``.
    """
    base, hold_out = copy.deepcopy((base, hold_out))
    max_epochs = base.train_cfg.max_epochs
    burn_in_epochs = round(max_epochs * burn_in)
    release = burn_in_epochs // 2

    plain = train_pipeline_of(base)
    mosaic = mosaic_transform(plain, cut_at_edges, min_visible)
    released = insert(plain, mosaic, before='PackLLDInputs')
    held_out = insert(
        released,
        dict(type='mmleuk.HoldOutRegions', **hold_out),
        after='LoadLLDAnnotations',
    )
    mixed = insert(
        plain,
        dict(
            type='RandomChoice',
            transforms=[[mosaic], []],
            prob=[mosaic_share, 1 - mosaic_share],
        ),
        before='PackLLDInputs',
    )
    loader = base.train_dataloader
    # The fields as the teacher sees them: each once, as in a test.
    test_pipeline = inner_dataset(base.test_dataloader.dataset).pipeline
    fields = [
        dict(part, pipeline=test_pipeline)
        for part in inner_datasets(loader.dataset)
    ]
    mining_dataloader = dict(
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        persistent_workers=loader.persistent_workers,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=fields[0]
        if len(fields) == 1
        else dict(type='mmleuk.JointDataset', datasets=fields),
    )
    custom_hooks = [
        *base.get('custom_hooks', []),
        mean_teacher(teacher_epochs),
        _switch(release, released),
        _switch(burn_in_epochs, mixed),
        dict(
            type='mmleuk.RegionMiningHook',
            dataloader=mining_dataloader,
            begin=burn_in_epochs,
            interval=mining_interval,
            release=release,
            num_orientations=num_orientations,
        ),
    ]
    return (
        _model(base, hold_out, target_precision),
        held_out,
        dict(dataset=with_pipeline(loader.dataset, held_out)),
        _schedule(base, burn_in_epochs, restart_weight),
        custom_hooks,
    )


def _model(base: ConfigDict, hold_out: dict, target_precision: float) -> dict:
    """Wrap the detector in one that mines."""
    detector = base.model
    is_two_stage = 'roi_head' in detector
    if is_two_stage:
        for part in training_parts(detector):
            part.sampler.type = 'mmleuk.SparseRegionSampler'
        use_region_bbox_heads(detector)
    elif _reads_sampler(detector):
        # Most configs of MMDetection leave it out.
        sampler = detector.train_cfg.setdefault('sampler', ConfigDict())
        sampler.type = 'mmleuk.SparseRegionPseudoSampler'
    miner = dict(
        type='mmleuk.RegionMiner',
        num_classes=bbox_heads(detector)[0].num_classes,
        hold_out=hold_out,
        target_precision=target_precision,
    )
    head = detector.get('roi_head', detector).get('attribute_head', {})
    if 'attributes' in head:
        miner.update(attributes=head.attributes)
    return dict(
        _delete_=True,
        type='mmleuk.RegionMiningDetector',
        detector=detector,
        data_preprocessor=detector.data_preprocessor,
        miner=miner,
    )


def _reads_sampler(detector: ConfigDict) -> bool:
    """Whether the head of one stage reads ``train_cfg.sampler``.

    Those whose loss looks past the assigner do not; DETRs refuse it.
    """
    name = detector.bbox_head.type.split('.')[-1]
    return name.removeprefix('Region') not in REGION_HEADS


def _switch(epoch: int, pipeline: List[dict]) -> dict:
    """Config of the hook that changes the training pipeline."""
    return dict(
        type='mmleuk.InnerPipelineSwitchHook',
        switch_epoch=epoch,
        switch_pipeline=pipeline,
    )


def _schedule(
    base: ConfigDict, burn_in_epochs: int, restart_weight: float
) -> List[dict]:
    """Two cosines, each from a high learning rate to a low one."""
    # The burn-in ends with a learning rate near zero, so that the teacher is
    # at its best when it mines; then the rate goes up once more.
    max_epochs = base.train_cfg.max_epochs
    burn_in = burn_in_epochs / max_epochs
    cosine = dict(
        type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True
    )
    return [
        *(dict(s, end=max(1, round(s.end * burn_in))) for s in warmups(base)),
        dict(
            cosine,
            begin=0,
            end=burn_in_epochs,
            T_max=burn_in_epochs,
            eta_min_ratio=LOWEST_LR,
        ),
        dict(
            type='MultiStepLR',
            by_epoch=True,
            milestones=[burn_in_epochs],
            gamma=restart_weight / LOWEST_LR,
        ),
        dict(
            cosine,
            begin=burn_in_epochs,
            end=max_epochs,
            T_max=max_epochs - burn_in_epochs,
        ),
    ]
