# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional, Tuple

import torch
from mmdet.models.roi_heads.roi_extractors import (
    GenericRoIExtractor,
    SingleRoIExtractor,
)
from torch import Tensor

from mmleuk.registry import MODELS


class RobustRoIExtractorMixin:
    """Let a RoI extractor take features of any type and memory layout.

    MMCV's RoIAlign has no bfloat16 kernel, neither on the CPU nor in CUDA, so
    that plain extractors fail under ``--amp`` with bfloat16. And it reads
    channels-last features as if they were contiguous, which fails in silence.
    Here the first are pooled in float32 and the second made contiguous;
    others are passed as they are.
    """

    def forward(
        self,
        feats: Tuple[Tensor],
        rois: Tensor,
        roi_scale_factor: Optional[float] = None,
    ) -> Tensor:
        """Pool RoI features.

        Args:
            feats (tuple[Tensor]): Features, each of shape (N, C, H, W).
            rois (Tensor): RoIs ``(batch index, x1, y1, x2, y2)`` in pixels of
                the network's input, shape (n, 5).
            roi_scale_factor (float, optional): Factor of the RoIs' sides.

        Returns:
            Tensor: RoI features, shape (n, C, *output_size).
        """
        feats = tuple(
            (
                feat.float() if feat.dtype == torch.bfloat16 else feat
            ).contiguous()
            for feat in feats
        )
        return super().forward(feats, rois.type_as(feats[0]), roi_scale_factor)


@MODELS.register_module()
class RobustSingleRoIExtractor(RobustRoIExtractorMixin, SingleRoIExtractor):
    """:class:`SingleRoIExtractor` for any type and memory layout."""


@MODELS.register_module()
class RobustGenericRoIExtractor(RobustRoIExtractorMixin, GenericRoIExtractor):
    """:class:`GenericRoIExtractor` for any type and memory layout."""
