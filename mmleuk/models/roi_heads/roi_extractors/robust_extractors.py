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
    """RoI extractor for features of any type and memory layout.

    MMCV's RoIAlign has no bfloat16 kernel, neither on the CPU nor in CUDA, so
    plain extractors fail in mixed precision of that type. It also reads
    channels-last features as if they were contiguous, which gives wrong
    features without an error. The former are pooled in float32, the latter
    made contiguous.
    """

    def forward(
        self,
        feats: Tuple[Tensor],
        rois: Tensor,
        roi_scale_factor: Optional[float] = None,
    ) -> Tensor:
        """Pool the RoIs, (n, 5), of features, each (N, C, H, W)."""
        feats = tuple(
            feat.to(
                torch.float32 if feat.dtype == torch.bfloat16 else feat.dtype,
                memory_format=torch.contiguous_format,
            )
            for feat in feats
        )
        return super().forward(feats, rois.type_as(feats[0]), roi_scale_factor)


@MODELS.register_module()
class RobustSingleRoIExtractor(RobustRoIExtractorMixin, SingleRoIExtractor):
    """:class:`SingleRoIExtractor` for any type and memory layout."""


@MODELS.register_module()
class RobustGenericRoIExtractor(RobustRoIExtractorMixin, GenericRoIExtractor):
    """:class:`GenericRoIExtractor` for any type and memory layout."""
