# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch
from mmdet.models.dense_heads import YOLOXHead
from mmdet.models.losses import CrossEntropyLoss
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.models.task_modules import RegionAssigner
from mmleuk.registry import MODELS

# A target below 0 has no loss in MMDetection's sigmoid CrossEntropyLoss.
UNKNOWN = -1


@MODELS.register_module()
class RegionYOLOXHead(YOLOXHead):
    """:class:`YOLOXHead` that learns objectness where it is known.

    The objectness loss of MMDetection is over all priors, whatever their
    assigner says. Here priors that match nothing have none where the
    assigner's :class:`BackgroundRule` allows no background. Classes and boxes
    are learned from positives alone, as in MMDetection.

    Args:
        *args: Arguments of ``YOLOXHead``.
        **kwargs: Arguments of ``YOLOXHead``. The assigner is a
            :class:`RegionAssigner` with ``point_size``.

    Raises:
        TypeError: If the assigner or ``loss_obj`` is of another kind.
    """

    knows_regions = True

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not (
            isinstance(self.loss_obj, CrossEntropyLoss)
            and self.loss_obj.use_sigmoid
        ):
            raise TypeError(
                f'got {type(self.loss_obj).__name__} as loss_obj, expected '
                'CrossEntropyLoss with use_sigmoid=True: only there does '
                'MMDetection leave out targets that are unknown'
            )
        assigner = getattr(self, 'assigner', None)
        if assigner is None:
            return
        if (
            not isinstance(assigner, RegionAssigner)
            or assigner.rule.point_size is None
        ):
            raise TypeError(
                f'got {type(assigner).__name__} as train_cfg.assigner, '
                'expected RegionAssigner with point_size. Set '
                "assigner=dict(type='mmleuk.RegionAssigner', point_size=8, "
                "assigner=dict(type='SimOTAAssigner', center_radius=2.5))"
            )

    @torch.no_grad()
    def _get_targets_single(
        self,
        priors: Tensor,
        cls_preds: Tensor,
        decoded_bboxes: Tensor,
        objectness: Tensor,
        gt_instances: InstanceData,
        img_meta: dict,
        gt_instances_ignore: Optional[InstanceData] = None,
    ) -> tuple:
        """Compute the targets of an image, as MMDetection does.

        Args:
            priors (Tensor): Left upper corners and strides (x, y, stride x,
                stride y) of the grid, shape (n, 4).
            cls_preds (Tensor): Scores of the classes, shape (n, num_classes).
            decoded_bboxes (Tensor): Predicted boxes, shape (n, 4).
            objectness (Tensor): Shape (n, ).
            gt_instances (:obj:`InstanceData`): ``bboxes`` and ``labels``.
            img_meta (dict): Meta information of the image.
            gt_instances_ignore (:obj:`InstanceData`, optional): ``bboxes`` and
                ``labels``.

        Returns:
            tuple: As by ``YOLOXHead``. The objectness targets (n, 1) of
            unknown priors are :data:`UNKNOWN`.
        """
        is_positive, cls_target, obj_target, *others = (
            super()._get_targets_single(
                priors,
                cls_preds,
                decoded_bboxes,
                objectness,
                gt_instances,
                img_meta,
                gt_instances_ignore,
            )
        )
        # The assigner, which gets the centres too, is not asked where there
        # is no ground truth.
        corners, strides = priors.split(2, dim=1)
        centers = torch.cat([corners + strides / 2, strides], dim=1)
        unknown = ~is_positive & self.assigner.rule.no_background(
            centers, gt_instances_ignore
        )
        obj_target = obj_target.masked_fill(unknown[:, None], UNKNOWN)
        return (is_positive, cls_target, obj_target, *others)
