# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict

import torch
from mmdet.models.dense_heads import (
    ConditionalDETRHead,
    DABDETRHead,
    DeformableDETRHead,
    DETRHead,
    DINOHead,
)
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor

from mmleuk.registry import MODELS


class RegionQueries:
    """Mixin of a DETR head: no background on un-annotated area.

    A query that matches no labelled cell, and whose predicted box may be no
    background by the assigner's :class:`BackgroundRule`, has no "no object"
    loss, in each decoder layer and for the proposals of the encoder. Denoising
    queries are made of labelled cells and stay as they are.

    MMDetection's heads neither pass ignored instances to their assigner nor
    read what it marks as neither positive nor negative. So the ignored
    instances reach :class:`RegionAssigner` in the image's meta information,
    and queries that are neither get the weight 0.
    """

    knows_regions = True

    def loss(
        self, *args, batch_data_samples: SampleList, **kwargs
    ) -> Dict[str, Tensor]:
        """Compute the losses, as MMDetection does.

        Args:
            *args: What the transformer returns.
            batch_data_samples (list[:obj:`DetDataSample`]): Samples with
                ``gt_instances`` and ``ignored_instances``.
            **kwargs: What the transformer returns.

        Returns:
            dict[str, Tensor]: The losses.
        """
        batch_data_samples = [
            sample.new(
                metainfo=dict(
                    sample.metainfo,
                    gt_instances_ignore=sample.get('ignored_instances'),
                )
            )
            for sample in batch_data_samples
        ]
        return super().loss(
            *args, batch_data_samples=batch_data_samples, **kwargs
        )

    def _get_targets_single(self, *args, **kwargs) -> tuple:
        """Compute the targets of an image, as MMDetection does.

        Returns:
            tuple[Tensor]: Labels (n, ), their weights (n, ), 0 of queries that
            are neither positive nor negative, targets of boxes (n, 4), their
            weights (n, 4), and indices of positive and negative queries.
        """
        labels, label_weights, *boxes, positive, negative = (
            super()._get_targets_single(*args, **kwargs)
        )
        is_known = torch.zeros_like(label_weights)
        is_known[torch.cat([positive, negative])] = 1
        return (labels, label_weights * is_known, *boxes, positive, negative)


@MODELS.register_module()
class RegionDETRHead(RegionQueries, DETRHead):
    """:class:`DETRHead` that learns known background.

    Args:
        num_classes (int): Number of classes.
        loss_cls (dict): As of ``DETRHead``. That class reads
            ``bg_cls_weight`` only if it is no subclass.
        **kwargs: Arguments of ``DETRHead``.
    """

    def __init__(
        self,
        num_classes: int,
        loss_cls: ConfigType = dict(
            type='CrossEntropyLoss',
            bg_cls_weight=0.1,
            use_sigmoid=False,
            loss_weight=1.0,
            class_weight=1.0,
        ),
        **kwargs,
    ) -> None:
        loss_cls = dict(loss_cls)
        weight = loss_cls.get('class_weight')
        bg_weight = loss_cls.pop('bg_cls_weight', weight)
        if weight is not None:
            loss_cls['class_weight'] = [weight] * num_classes + [bg_weight]
        super().__init__(num_classes, loss_cls=loss_cls, **kwargs)
        if weight is not None:
            self.bg_cls_weight = bg_weight


@MODELS.register_module()
class RegionConditionalDETRHead(RegionQueries, ConditionalDETRHead):
    """:class:`ConditionalDETRHead` that learns known background."""


@MODELS.register_module()
class RegionDABDETRHead(RegionQueries, DABDETRHead):
    """:class:`DABDETRHead` that learns known background."""


@MODELS.register_module()
class RegionDeformableDETRHead(RegionQueries, DeformableDETRHead):
    """:class:`DeformableDETRHead` that learns known background."""


@MODELS.register_module()
class RegionDINOHead(RegionQueries, DINOHead):
    """:class:`DINOHead` that learns known background."""
