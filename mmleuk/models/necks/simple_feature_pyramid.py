# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence, Tuple

import torch.nn.functional as F
from mmdet.utils import OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmleuk.registry import MODELS


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each place of a map."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (n, c, h, w)."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """Feature pyramid from one map, for backbones of one resolution.

    The simple feature pyramid of `ViTDet <https://arxiv.org/abs/2203.16527>`_:
    transposed convolutions and pooling scale the map; there is no top-down
    path. With a backbone of stride s the levels have the strides ``s / 4, s /
    2, s, 2 s`` and, one for each further level, twice the one before: with
    patches of 14 px 3.5, 7, 14, 28 and 56.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the levels.
        num_outs (int): Number of levels, at least 4.
        init_cfg (dict | list[dict], optional): Initialisation.

    Raises:
        ValueError: If ``num_outs`` is below 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        num_outs: int = 5,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_outs < 4:
            raise ValueError(f'num_outs is {num_outs}, expected at least 4')
        self.num_outs = num_outs
        half, quarter = in_channels // 2, in_channels // 4
        self.scales = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(in_channels, half, 2, stride=2),
                    ChannelNorm(half, eps=1e-6),
                    nn.GELU(),
                    nn.ConvTranspose2d(half, quarter, 2, stride=2),
                ),
                nn.ConvTranspose2d(in_channels, half, 2, stride=2),
                nn.Identity(),
                # An odd last row or column is kept.
                nn.MaxPool2d(2, ceil_mode=True),
            ]
        )
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, bias=False),
                ChannelNorm(out_channels, eps=1e-6),
                nn.Conv2d(
                    out_channels, out_channels, 3, padding=1, bias=False
                ),
                ChannelNorm(out_channels, eps=1e-6),
            )
            for channels in (quarter, half, in_channels, in_channels)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """Make the levels.

        Args:
            inputs (Sequence[Tensor]): Backbone features; the last one, of
                shape (n, ``in_channels``, h, w), is used.

        Returns:
            tuple[Tensor]: ``num_outs`` levels, finest first, each of shape (n,
            ``out_channels``, ...), in contiguous memory.
        """
        levels = [
            # mmcv's RoIAlign does not check for contiguous memory.
            conv(scale(inputs[-1])).contiguous()
            for scale, conv in zip(self.scales, self.convs)
        ]
        while len(levels) < self.num_outs:
            levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        return tuple(levels)
