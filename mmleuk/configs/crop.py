# Copyright (c) mmleuk authors. All rights reserved.
import copy
from typing import Tuple

from mmengine.config import ConfigDict

from mmleuk.engine.schedule import scale_schedule

from .parts import (
    RESIZES,
    insert,
    rcnn_stages,
    scale_base_batch_size,
    train_pipeline_of,
    with_pipeline,
)


def crop(
    base: ConfigDict,
    crops_in_a_field: int = 5,
    max_proposals: int = 200,
    num_rois: int = 128,
    attribute_max_rois: int = 12,
) -> Tuple[dict, list, dict, dict, list, dict, dict]:
    """Learn from the annotated rectangles alone, cut out of their fields.

    Args:
        base (:obj:`ConfigDict`): The base, with a schedule in epochs.
        crops_in_a_field (int): Number of rectangles that have the pixels of a
            field. A rectangle is a fifth of a field, so five times as many
            make a batch of the same size, and five times as many epochs the
            same training.
        max_proposals (int): Proposals of a rectangle. This and the next two
            are more than the share of a rectangle in what a field has, since
            MMDetection counts by the image.
        num_rois (int): Sampled RoIs of a rectangle.
        attribute_max_rois (int): Attribute RoIs of a rectangle, unless the
            base takes all of a field.

    Returns:
        tuple: ``model``, ``train_pipeline``, ``train_dataloader``,
        ``train_cfg``, ``param_scheduler``, ``default_hooks`` and
        ``auto_scale_lr``.
    """
    base = copy.deepcopy(base)
    model = base.model
    if 'roi_head' in model:
        model.train_cfg.rpn_proposal.max_per_img = max_proposals
        for stage in rcnn_stages(model):
            stage.sampler.num = num_rois
        if 'attribute_max_rois' in model.roi_head:
            model.roi_head.attribute_max_rois = attribute_max_rois

    pipeline = insert(
        train_pipeline_of(base), dict(type='mmleuk.RegionCrop'), after=RESIZES
    )
    loader = base.train_dataloader
    scale_schedule(base, crops_in_a_field, units=['epochs'])
    interval = base.default_hooks.checkpoint.interval * crops_in_a_field
    return (
        model,
        pipeline,
        dict(
            batch_size=loader.batch_size * crops_in_a_field,
            dataset=with_pipeline(loader.dataset, pipeline),
        ),
        base.train_cfg,
        base.param_scheduler,
        # Epochs are shorter.
        dict(checkpoint=dict(interval=interval)),
        # So many rectangles are a batch of the same size.
        scale_base_batch_size(base, crops_in_a_field),
    )
