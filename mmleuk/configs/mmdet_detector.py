# Copyright (c) mmleuk authors. All rights reserved.
"""Detectors of MMDetection as they are, on data in our format.

MMEngine allows no two bases that state the same key, and a config of
MMDetection states data and schedule. So the base is data, schedule and runtime
of ours, and these functions take the rest from a config of MMDetection.
"""

import copy
from typing import Any, List, Optional, Tuple

from mmengine.config import ConfigDict
from mmengine.hub import get_config

from mmleuk.engine.schedule import scale_schedule
from mmleuk.structures.metainfo import LLD_CLASSES

from .parts import inner_dataset, train_pipeline_of, with_pipeline
from .with_regions import with_regions

# Share of the training in which the learning rate rises: an epoch of 60.
WARMUP = 1 / 60


def mmdet_detector(
    base: ConfigDict,
    name: str,
    epochs: Optional[int] = None,
    base_batch_size: Optional[int] = None,
    regions: Optional[dict] = None,
) -> Tuple[dict, dict, list, dict, dict]:
    """Take model, optimizer and schedule of a config of MMDetection.

    Only the number of classes and the length of the schedule change, and what
    depends on the number of steps: a warm-up that is stated in steps takes
    its share of the epochs, and a lowest learning rate is relative.

    Args:
        base (:obj:`ConfigDict`): Data, schedule and runtime.
        name (str): Config of MMDetection, such as
            ``'mmdet::atss/atss_r50_fpn_1x_coco.py'``.
        epochs (int, optional): Length of the training. Default: that of the
            base.
        base_batch_size (int, optional): Images in a step that the learning
            rate is meant for. Default: as the config says.
        regions (dict, optional): Arguments of :func:`with_regions`, for data
            that are annotated in part. Default: the model of MMDetection.

    Returns:
        tuple: ``model``, ``optim_wrapper``, ``param_scheduler``,
        ``train_cfg`` and ``auto_scale_lr``.
    """
    cfg = get_config(name)
    metainfo = inner_dataset(base.train_dataloader.dataset).get('metainfo', {})
    _set_num_classes(cfg.model, len(metainfo.get('classes', LLD_CLASSES)))
    epochs = epochs or base.train_cfg.max_epochs
    scale_schedule(cfg, epochs / cfg.train_cfg.max_epochs, units=['epochs'])
    schedulers = cfg.param_scheduler
    for scheduler in schedulers:
        if not scheduler.get('by_epoch', True):
            scheduler.update(
                by_epoch=True,
                convert_to_iter_based=True,
                end=max(1, round(epochs * WARMUP)),
            )
        if 'eta_min' in scheduler:
            lowest = scheduler.pop('eta_min')
            lr = cfg.optim_wrapper.optimizer.lr
            scheduler.eta_min_ratio = lowest / lr
    if regions is not None:
        cfg.model = with_regions(cfg.model, **regions)
    size = base_batch_size or cfg.auto_scale_lr.base_batch_size
    return (
        cfg.model,
        dict(
            cfg.optim_wrapper, _delete_=True, type='mmleuk.FiniteOptimWrapper'
        ),
        schedulers,
        dict(max_epochs=epochs, val_interval=max(1, epochs // 12)),
        dict(base_batch_size=size),
    )


def mmdet_augmentation(
    base: ConfigDict, name: str, batch_size: Optional[int] = None
) -> Tuple[list, list, dict, dict, list]:
    """Take pipelines and hooks of a config of MMDetection, too.

    For detectors whose mosaics and changes of the pipeline are part of the
    method. The pipelines load and pack labels in our format.

    Args:
        base (:obj:`ConfigDict`): Data, schedule and runtime.
        name (str): Config of MMDetection.
        batch_size (int, optional): Images of a process. Default: as the base
            says.

    Returns:
        tuple: ``train_pipeline``, ``test_pipeline``, ``train_dataloader``,
        ``val_dataloader`` and ``custom_hooks``.
    """
    cfg = get_config(name)
    own = cfg.train_dataloader.dataset
    loader = base.train_dataloader
    pack = train_pipeline_of(base)[-1]
    pack_test = inner_dataset(base.test_dataloader.dataset).pipeline[-1]
    train_pipeline = _in_our_format(own.pipeline, pack)
    dataset = copy.deepcopy(loader.dataset)
    if 'dataset' in own:
        dataset.pipeline = _in_our_format(own.dataset.pipeline, pack)
        dataset = dict(
            _delete_=True,
            type=own.type,
            dataset=dataset,
            pipeline=train_pipeline,
        )
    else:
        dataset = with_pipeline(dataset, train_pipeline)
    test_pipeline = _in_our_format(cfg.test_pipeline, pack_test)
    hooks = [
        dict(hook, switch_pipeline=_in_our_format(hook.switch_pipeline, pack))
        if 'switch_pipeline' in hook
        else hook
        for hook in cfg.get('custom_hooks', [])
    ]
    return (
        train_pipeline,
        test_pipeline,
        dict(batch_size=batch_size or loader.batch_size, dataset=dataset),
        dict(dataset=dict(pipeline=test_pipeline)),
        hooks,
    )


def _set_num_classes(node: Any, number: int) -> None:
    """Set each number of classes in the config of a model, in place."""
    if isinstance(node, dict):
        if 'num_classes' in node:
            node['num_classes'] = number
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            _set_num_classes(value, number)


def _in_our_format(pipeline: List[dict], pack: dict) -> List[dict]:
    """Copy a pipeline of MMDetection that loads and packs our labels."""
    ours = dict(
        LoadAnnotations=dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
        PackDetInputs=pack,
    )
    return [
        copy.deepcopy(ours.get(transform['type'], transform))
        for transform in pipeline
    ]
