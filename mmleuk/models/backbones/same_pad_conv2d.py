# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch.nn.functional as F
from torch import Tensor, nn


class SamePadConv2d(nn.Conv2d):
    """Convolution with the padding of TensorFlow's ``padding='same'``.

    The output has ``ceil(size / stride)`` pixels a side. An odd padding puts
    the extra row and column at the bottom and at the right, so at stride 2 and
    an even size it samples other pixels than a symmetric padding.

    It pads in ``_conv_forward``, which ``efficient_conv_bn_eval`` of mmcv and
    MMEngine calls, too. mmcv's ``Conv2dAdaptivePadding`` pads outside of it
    and silently loses its padding there.

    Args:
        *args: Arguments of :class:`torch.nn.Conv2d`.
        padding (int): Ignored; mmcv's builders pass it.
        **kwargs: Arguments of :class:`torch.nn.Conv2d`.
    """

    def __init__(self, *args, padding: int = 0, **kwargs) -> None:
        super().__init__(*args, padding=0, **kwargs)

    def _conv_forward(
        self, input: Tensor, weight: Tensor, bias: Optional[Tensor]
    ) -> Tensor:
        """Pad, then convolve (n, in_channels, h, w)."""
        padding = []
        # F.pad starts at the last axis.
        for axis in (1, 0):
            size = input.shape[2 + axis]
            stride = self.stride[axis]
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            total = (-(-size // stride) - 1) * stride + reach - size
            total = max(total, 0)
            padding += [total // 2, total - total // 2]
        if any(padding):
            input = F.pad(input, padding)
        return F.conv2d(
            input, weight, bias, self.stride, 0, self.dilation, self.groups
        )
