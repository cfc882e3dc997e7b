# Copyright (c) mmleuk authors. All rights reserved.
from typing import List

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmengine.config import ConfigDict

from mmleuk.registry import MODELS


@MODELS.register_module()
class RegionShared2FCBBoxHead(Shared2FCBBoxHead):
    """:class:`Shared2FCBBoxHead` whose box loss counts mined cells less.

    The type of a mined cell is calibrated, its box is not: regressing to it
    would copy the teacher's localisation error. A mined cell counts
    ``mined_box_weight`` of a labelled one in the box loss.

    MMDetection's box loss is a mean over all RoIs, those of mined cells
    included, so the more is mined, the less weight is left for boxes. The
    weights of the other RoIs are raised to make up for it, up to
    ``max_box_weight`` each.

    Mined are cells to which :class:`SparseRegionSampler` gives a probability
    below 1. With any other sampler all cells count alike.

    Args:
        *args: Arguments of the head.
        mined_box_weight (float): Weight of a mined cell, in [0, 1].
        max_box_weight (float): Greatest weight of a labelled cell, 1 or more.
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
        """Change the box weights in the targets of the parent."""
        targets = super().get_targets(
            sampling_results, rcnn_train_cfg, concat=False
        )
        *_, box_weights = targets
        total = sum(weights.sum() for weights in box_weights)
        for result, weights in zip(sampling_results, box_weights):
            if hasattr(result, 'pos_probs'):
                # Positives come first.
                own = weights[: len(result.pos_probs)]
                is_mined = result.pos_probs < 1
                own *= 1 - is_mined[:, None] * (1 - self.mined_box_weight)
        left = sum(weights.sum() for weights in box_weights)
        # If nothing is left, the factor does not matter.
        factor = total / left.clamp(min=torch.finfo(left.dtype).tiny)
        for weights in box_weights:
            weights *= factor.clamp(max=self.max_box_weight)
        if not concat:
            return targets
        return tuple(torch.cat(parts) for parts in targets)
