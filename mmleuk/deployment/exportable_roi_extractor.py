# Copyright (c) mmleuk authors. All rights reserved.
from typing import Tuple

import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import (
    BaseRoIExtractor,
    GenericRoIExtractor,
    SingleRoIExtractor,
)
from torch import Tensor, nn

from .onnx_ops import roi_align


class ExportableRoIExtractor(nn.Module):
    """A RoI extractor of MMDetection, without branches on its input.

    MMDetection's ask how many RoIs a level has, which a graph can't. This one
    pools every RoI on every level. A RoI is shrunk to nothing on the levels
    that are not its own: with ``sampling_ratio=0`` RoIAlign then takes no
    sample there, so that the cost stays that of one level.

    Args:
        extractor (BaseRoIExtractor): A ``SingleRoIExtractor`` or a
            ``GenericRoIExtractor`` whose layers are RoIAlign by averages.

    Raises:
        TypeError: If it is another one.
    """

    def __init__(self, extractor: BaseRoIExtractor) -> None:
        super().__init__()
        if not isinstance(
            extractor, (SingleRoIExtractor, GenericRoIExtractor)
        ):
            raise TypeError(
                f'export to ONNX got the RoI extractor {type(extractor)}, '
                'expected a SingleRoIExtractor or a GenericRoIExtractor'
            )
        for layer in extractor.roi_layers:
            if not isinstance(layer, RoIAlign) or layer.pool_mode != 'avg':
                raise TypeError(
                    f'export to ONNX got the RoI layer {layer}, expected '
                    "RoIAlign with pool_mode='avg', which alone is the same "
                    'in the ONNX standard'
                )
        self.extractor = extractor
        self.num_inputs = extractor.num_inputs

    def forward(self, feats: Tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Pool RoI features.

        Args:
            feats (tuple[Tensor]): Features, each of shape (1, C, H, W).
            rois (Tensor): RoIs ``(batch index, x1, y1, x2, y2)`` in pixels of
                the network's input, shape (n, 5).

        Returns:
            Tensor: RoI features, shape (n, C, *output_size).
        """
        if isinstance(self.extractor, GenericRoIExtractor):
            return self._pool_all_levels(feats, rois)
        return self._pool_own_level(feats, rois)

    def _pool(self, index: int, feat: Tensor, rois: Tensor) -> Tensor:
        """Pool RoIs on the level ``index``."""
        layer = self.extractor.roi_layers[index]
        return roi_align(
            feat,
            rois,
            *layer.output_size,
            layer.spatial_scale,
            layer.sampling_ratio,
            layer.aligned,
        )

    def _pool_own_level(
        self, feats: Tuple[Tensor, ...], rois: Tensor
    ) -> Tensor:
        """Pool each RoI on the level of its size."""
        if len(feats) == 1:
            return self._pool(0, feats[0], rois)
        levels = self.extractor.map_roi_levels(rois, len(feats))
        pooled = 0
        for index, feat in enumerate(feats):
            is_own = (levels == index).to(rois)[:, None]
            pooled = (
                pooled
                + self._pool(index, feat, rois * is_own)
                * is_own[:, :, None, None]
            )
        return pooled

    def _pool_all_levels(
        self, feats: Tuple[Tensor, ...], rois: Tensor
    ) -> Tensor:
        """Pool each RoI on all levels and put these together."""
        extractor = self.extractor
        pooled = [
            self._pool(index, feat, rois) for index, feat in enumerate(feats)
        ]
        if extractor.with_pre:
            pooled = [extractor.pre_module(level) for level in pooled]
        if extractor.aggregation == 'sum':
            together = torch.stack(pooled).sum(dim=0)
        else:
            together = torch.cat(pooled, dim=1)
        if extractor.with_post:
            together = extractor.post_module(together)
        return together
