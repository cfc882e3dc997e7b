# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule

from mmleuk.models.backbones import SamePadConv2d


@pytest.mark.parametrize('kernel_size', [3, 5])
@pytest.mark.parametrize('size', [(12, 16), (13, 16), (7, 9)])
def test_stride_2_gives_the_larger_half_of_the_padding_to_the_end(
    kernel_size, size
):
    conv = SamePadConv2d(2, 4, kernel_size, stride=2, padding=1)
    x = torch.randn(1, 2, *size)
    # Left and top: (k - 2) // 2 for an even size, (k - 1) // 2 for an odd one.
    starts = [(kernel_size - 2 + n % 2) // 2 for n in size]
    ends = [kernel_size - 2 + n % 2 - start for n, start in zip(size, starts)]
    padded = torch.zeros(
        1, 2, size[0] + starts[0] + ends[0], size[1] + starts[1] + ends[1]
    )
    padded[
        ..., starts[0] : starts[0] + size[0], starts[1] : starts[1] + size[1]
    ] = x
    expected = F.conv2d(padded, conv.weight, conv.bias, stride=2)

    out = conv(x)

    assert out.shape[-2:] == tuple((n + 1) // 2 for n in size)
    torch.testing.assert_close(out, expected)


def test_stride_1_is_the_symmetric_padding():
    conv = SamePadConv2d(2, 4, 5, groups=2)
    x = torch.randn(2, 2, 6, 7)
    torch.testing.assert_close(
        conv(x), F.conv2d(x, conv.weight, conv.bias, padding=2, groups=2)
    )


def test_keeps_its_padding_when_batch_norm_is_folded_in():
    module = ConvModule(
        3,
        4,
        3,
        stride=2,
        conv_cfg=dict(type=SamePadConv2d),
        norm_cfg=dict(type='BN'),
    ).eval()
    module.bn.running_mean.uniform_(-1, 1)
    module.bn.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 3, 8, 8)
    expected = module(x)
    module.turn_on_efficient_conv_bn_eval()

    torch.testing.assert_close(module(x), expected)
