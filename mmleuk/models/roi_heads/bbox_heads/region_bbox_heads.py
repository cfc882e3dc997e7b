# Copyright (c) mmleuk authors. All rights reserved.
from typing import List

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmengine.config import ConfigDict

from mmleuk.registry import MODELS


class RegionBBoxHeadMixin:
    """Box head that learns boxes from mined cells less than from labelled.

    What a mined cell is can be judged; its box is the teacher's own, and whom
    it teaches repeats the teacher's error. So a mined cell teaches the types,
    and its box counts ``mined_box_weight`` of a labelled one's.

    MMDetection's box loss is a mean over all RoIs. Those of mined cells are
    among them, so that the more is mined the less weight would be left to
    boxes; the others of the batch make up for it, up to ``max_box_weight``
    each.

    Mined is what :class:`SparseRegionSampler` gives a chance below 1. With
    any other sampler all cells count alike.

    Args:
        *args: Arguments of the head.
        mined_box_weight (float): Weight of a mined cell in the box loss, in
            [0, 1]. Defaults to 0.
        max_box_weight (float): Greatest weight of a labelled cell there, 1 or
            more: where few are left, they get no more. Defaults to 4.
        **kwargs: Arguments of the head.

    Raises:
        ValueError: If a weight is out of its range.
    """

    def __init__(
        self,
        *args,
        mined_box_weight: float = 0.0,
        max_box_weight: float = 4.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= mined_box_weight <= 1:
            raise ValueError(
                f'got mined_box_weight={mined_box_weight}, expected a number '
                'in [0, 1]'
            )
        if max_box_weight < 1:
            raise ValueError(
                f'got max_box_weight={max_box_weight}, expected 1 or more'
            )
        self.mined_box_weight = mined_box_weight
        self.max_box_weight = max_box_weight

    def get_targets(
        self,
        sampling_results: List[SamplingResult],
        rcnn_train_cfg: ConfigDict,
        concat: bool = True,
    ) -> tuple:
        """Compute the targets of the sampled RoIs.

        Args:
            sampling_results (list[:obj:`SamplingResult`]): RoIs of each image,
                with ``pos_chances`` where cells were mined.
            rcnn_train_cfg (:obj:`ConfigDict`): ``train_cfg`` of the R-CNN.
            concat (bool): Whether to put the images together.

        Returns:
            tuple: Labels (n, ), their weights (n, ), box targets (n, 4) and
            their weights (n, 4): tensors, or else lists of one an image.
        """
        targets = super().get_targets(
            sampling_results, rcnn_train_cfg, concat=False
        )
        *_, box_weights = targets
        total = sum(weights.sum() for weights in box_weights)
        for result, weights in zip(sampling_results, box_weights):
            if hasattr(result, 'pos_chances'):
                # Positives stand in front.
                own = weights[: len(result.pos_chances)]
                is_mined = result.pos_chances < 1
                own *= 1 - is_mined[:, None] * (1 - self.mined_box_weight)
        left = sum(weights.sum() for weights in box_weights)
        # No weights at all are 0 whatever they are multiplied by.
        factor = total / left.clamp(min=torch.finfo(left.dtype).tiny)
        for weights in box_weights:
            weights *= factor.clamp(max=self.max_box_weight)
        if not concat:
            return targets
        return tuple(torch.cat(parts) for parts in targets)


@MODELS.register_module()
class RegionShared2FCBBoxHead(RegionBBoxHeadMixin, Shared2FCBBoxHead):
    """:class:`Shared2FCBBoxHead` for cells some of which are mined.

    See :class:`RegionBBoxHeadMixin` for its arguments.
    """
