# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List

import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.losses import FocalLoss
from mmdet.utils import ConfigType, InstanceList, OptInstanceList
from torch import Tensor

from mmleuk.models.task_modules import BackgroundRule
from mmleuk.registry import MODELS

# A logit of which the focal loss of background, and its gradient, is exactly
# zero, at half precision too.
CERTAIN_BACKGROUND = -1e4


@MODELS.register_module()
class RegionFCOSHead(FCOSHead):
    """:class:`FCOSHead` that learns background where it is known.

    FCOS has no assigner, and the loss of MMDetection's head has no weights and
    no label that it leaves out. So the scores of points that match nothing,
    where a :class:`BackgroundRule` allows no background, are replaced by a
    constant that has no loss. Boxes and centerness are learned from positives
    alone, as in MMDetection. Targets are computed twice.

    Args:
        *args: Arguments of ``FCOSHead``.
        region_cfg (dict): Arguments of :class:`BackgroundRule`, ``point_size``
            among them.
        **kwargs: Arguments of ``FCOSHead``.

    Raises:
        TypeError: If ``loss_cls`` is no sigmoid focal loss.
        ValueError: If ``region_cfg`` has no ``point_size``.
    """

    knows_regions = True

    def __init__(
        self, *args, region_cfg: ConfigType = dict(point_size=8), **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self.rule = BackgroundRule(**region_cfg)
        if self.rule.point_size is None:
            raise ValueError(
                f'got region_cfg={region_cfg}, expected point_size in it, the '
                'side of the square around a point in strides, such as 8'
            )
        if type(self.loss_cls) is not FocalLoss or self.loss_cls.activated:
            raise TypeError(
                f'got {type(self.loss_cls).__name__} as loss_cls, expected '
                'FocalLoss with activated=False: of other losses it is not '
                'known which score has no loss'
            )

    def loss_by_feat(
        self,
        cls_scores: List[Tensor],
        bbox_preds: List[Tensor],
        centernesses: List[Tensor],
        batch_gt_instances: InstanceList,
        batch_img_metas: List[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> Dict[str, Tensor]:
        """Compute the losses, as MMDetection does.

        Args:
            cls_scores (list[Tensor]): Scores of each level, shape (N,
                num_classes, H, W).
            bbox_preds (list[Tensor]): Distances of each level, shape (N, 4, H,
                W).
            centernesses (list[Tensor]): Shape (N, 1, H, W) of each level.
            batch_gt_instances (list[:obj:`InstanceData`]): ``bboxes`` and
                ``labels`` of each image.
            batch_img_metas (list[dict]): Meta information of each image.
            batch_gt_instances_ignore (list[:obj:`InstanceData`], optional):
                ``bboxes`` and ``labels`` of each image.

        Returns:
            dict[str, Tensor]: ``loss_cls``, ``loss_bbox`` and
            ``loss_centerness``.
        """
        if batch_gt_instances_ignore is not None:
            cls_scores = self._without_unknown(
                cls_scores,
                bbox_preds[0].dtype,
                batch_gt_instances,
                batch_gt_instances_ignore,
            )
        return super().loss_by_feat(
            cls_scores,
            bbox_preds,
            centernesses,
            batch_gt_instances,
            batch_img_metas,
            batch_gt_instances_ignore,
        )

    def _without_unknown(
        self,
        cls_scores: List[Tensor],
        dtype: torch.dtype,
        batch_gt_instances: InstanceList,
        batch_gt_instances_ignore: InstanceList,
    ) -> List[Tensor]:
        """Replace the scores of points that may be no background."""
        points = self.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in cls_scores],
            dtype=dtype,
            device=cls_scores[0].device,
        )
        labels, _ = self.get_targets(points, batch_gt_instances)
        known_scores = []
        for scores, level_points, level_labels, stride in zip(
            cls_scores, points, labels, self.strides
        ):
            priors = torch.cat(
                [level_points, torch.full_like(level_points, stride)], dim=1
            )
            unknown = torch.stack(
                [
                    self.rule.no_background(priors, ignored)
                    for ignored in batch_gt_instances_ignore
                ]
            ) & (level_labels.view(len(scores), -1) == self.num_classes)
            mask = unknown.view(len(scores), 1, *scores.shape[-2:])
            known_scores.append(scores.masked_fill(mask, CERTAIN_BACKGROUND))
        return known_scores
