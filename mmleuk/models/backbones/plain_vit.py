# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmleuk.registry import MODELS


class LayerScale(nn.Module):
    """A learned factor for each channel.

    Args:
        embed_dims (int): Number of channels.
        init_value (float): First value of the factors.
    """

    def __init__(self, embed_dims: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        """Scale tokens of shape (n, tokens, ``embed_dims``)."""
        return x * self.gamma


class Attention(nn.Module):
    """Self-attention among all tokens.

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, embed_dims * 3)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Attend; in and out (n, tokens, ``embed_dims``)."""
        heads = self.qkv(x).unflatten(2, (3, self.num_heads, -1))
        x = F.scaled_dot_product_attention(*heads.permute(2, 0, 3, 1, 4))
        return self.proj(x.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers.

    Args:
        embed_dims (int): Number of channels; there are 4 times as many inside.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, embed_dims * 4)
        self.fc2 = nn.Linear(embed_dims * 4, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token; in and out (n, tokens, ``embed_dims``)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and two linear layers, each normalised first.

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads.
        layer_scale (float, optional): First value of the layer scale; None
            for none.
        drop_path_rate (float): Probability of leaving out a branch.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        layer_scale: Optional[float],
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = Attention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.mlp = MLP(embed_dims)
        for name in ('ls1', 'ls2'):
            scale = (
                nn.Identity()
                if layer_scale is None
                else LayerScale(embed_dims, layer_scale)
            )
            self.add_module(name, scale)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens; in and out (n, tokens, ``embed_dims``)."""
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class PatchEmbed(nn.Module):
    """One token for each patch.

    Args:
        embed_dims (int): Number of channels.
        patch_size (int): Side of a patch in pixels.
    """

    def __init__(self, embed_dims: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dims, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Embed (n, 3, h, w) as (n, ``embed_dims``, rows, columns).

        Zeros complete the last row and column of patches.
        """
        h, w = x.shape[-2:]
        patch_h, patch_w = self.proj.kernel_size
        return self.proj(F.pad(x, (0, -w % patch_w, 0, -h % patch_h)))


@MODELS.register_module()
class PlainViT(BaseModule):
    """Vision Transformer of one resolution, with the names of DINOv2.

    For encoders of the `DINOv2 <https://arxiv.org/abs/2304.07193>`_ family,
    such as those pretrained on blood cells, and others with its names
    (DINO, timm's). :class:`SimpleFPN` makes a feature pyramid of the output.

    ``init_cfg=dict(type='Pretrained', checkpoint='encoder.pth')`` loads a
    local file. The weights may lie in a dict of the file or behind a prefix
    (``teacher``, ``backbone.``); of a student and a teacher the teacher is
    taken. Heads and the ``mask_token`` are left out. All other weights have
    to fit exactly: what is missing or left over raises an error.

    Args:
        arch (str | dict): ``'small'``, ``'base'`` or ``'large'``, or a dict
            with ``embed_dims``, ``depth`` and ``num_heads``.
        patch_size (int): Side of a patch in pixels: the stride of the output.
        img_size (int): Side of the images that the position embeddings were
            trained with. They are resized to each input.
        num_registers (int): Number of register tokens.
        layer_scale (float, optional): First value of the layer scale; None
            for an encoder without.
        drop_path_rate (float): Stochastic depth of the last block, rising
            linearly from 0 over the blocks.
        frozen_stages (int): 0 freezes the embeddings, k also the first k
            blocks, all blocks also the last norm; -1 nothing.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        init_cfg (dict | list[dict], optional): Initialisation.

    Raises:
        ValueError: If an argument is out of range, or if weights do not fit.
    """

    arch_settings: Dict[str, Dict[str, int]] = {
        'small': dict(embed_dims=384, depth=12, num_heads=6),
        'base': dict(embed_dims=768, depth=12, num_heads=12),
        'large': dict(embed_dims=1024, depth=24, num_heads=16),
    }
    # In files: what an encoder has besides.
    not_used = ('mask_token', 'head.')

    def __init__(
        self,
        arch: Union[str, Dict[str, int]] = 'small',
        patch_size: int = 14,
        img_size: int = 518,
        num_registers: int = 0,
        layer_scale: Optional[float] = 1e-5,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg=None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if isinstance(arch, str):
            if arch not in self.arch_settings:
                raise ValueError(
                    f'arch is {arch!r}, expected one of '
                    f'{list(self.arch_settings)} or a dict'
                )
            arch = self.arch_settings[arch]
        embed_dims, depth = arch['embed_dims'], arch['depth']
        if img_size % patch_size:
            raise ValueError(
                f'img_size is {img_size}, expected a multiple of '
                f'patch_size={patch_size}'
            )
        if not -1 <= frozen_stages <= depth:
            raise ValueError(
                f'frozen_stages is {frozen_stages}, expected -1 (none) ... '
                f'{depth} (all)'
            )
        self.grid_size = img_size // patch_size
        self.num_registers = num_registers
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.patch_embed = PatchEmbed(embed_dims, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(
            torch.zeros(1, self.grid_size**2 + 1, embed_dims)
        )
        if num_registers:
            self.register_tokens = nn.Parameter(
                torch.zeros(1, num_registers, embed_dims)
            )
        self.blocks = nn.ModuleList(
            Block(
                embed_dims,
                arch['num_heads'],
                layer_scale,
                drop_path_rate * i / max(depth - 1, 1),
            )
            for i in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self._freeze_stages()

    def init_weights(self) -> None:
        """Load ``init_cfg``, or draw random weights without one."""
        super().init_weights()
        if self.init_cfg is None:
            trunc_normal_(self.pos_embed, std=0.02)
            nn.init.normal_(self.cls_token, std=1e-6)
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    trunc_normal_(module.weight, std=0.02)
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Encode images.

        Args:
            x (Tensor): Images, shape (n, 3, h, w). Zeros at the bottom and at
                the right complete the last patches.

        Returns:
            tuple[Tensor]: The normalised patch tokens, one map of shape (n,
            ``embed_dims``, ceil(h / patch_size), ceil(w / patch_size)).
        """
        x = self.patch_embed(x)
        grid = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + self._resized_pos_embed(grid)
        if self.num_registers:
            registers = self.register_tokens.expand(len(x), -1, -1)
            x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)
        for block in self.blocks:
            if self.with_cp and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        x = self.norm(x)[:, 1 + self.num_registers :]
        return (x.transpose(1, 2).unflatten(2, grid).contiguous(),)

    def _resized_pos_embed(self, grid: Tuple[int, int]) -> Tensor:
        """Resize the position embeddings to (1, 1 + rows * columns, c)."""
        side = self.grid_size
        if tuple(grid) == (side, side):
            return self.pos_embed
        patches = self.pos_embed[:, 1:].transpose(1, 2)
        patches = F.interpolate(
            # In mixed precision, too: bicubic weights need float32.
            patches.unflatten(2, (side, side)).float(),
            size=tuple(grid),
            mode='bicubic',
        )
        patches = patches.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)

    def train(self, mode: bool = True) -> 'PlainViT':
        """Set the mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze_stages()
        return self

    def _freeze_stages(self) -> None:
        """Freeze the embeddings and the first blocks."""
        if self.frozen_stages < 0:
            return
        self.patch_embed.requires_grad_(False)
        for name in ('cls_token', 'pos_embed', 'register_tokens'):
            if hasattr(self, name):
                getattr(self, name).requires_grad_(False)
        for block in self.blocks[: self.frozen_stages]:
            block.eval().requires_grad_(False)
        if self.frozen_stages == len(self.blocks):
            self.norm.requires_grad_(False)

    def _take_encoder(
        self, state_dict: Dict[str, Tensor], prefix: str
    ) -> None:
        """Leave only the weights of one encoder, in place; raise if unfit."""
        given: Dict[str, Tensor] = {}
        for key in [key for key in state_dict if key.startswith(prefix)]:
            _flatten(key[len(prefix) :], state_dict.pop(key), given)
        anchor = 'patch_embed.proj.weight'
        places = [key[: -len(anchor)] for key in given if key.endswith(anchor)]
        if len(places) > 1:
            places = [place for place in places if 'teacher' in place]
        if len(places) != 1:
            raise ValueError(
                f'expected the weights of one ViT, or a student and a teacher '
                f'with "teacher" in the name: found {len(places)} places of '
                f'{anchor} among {len(given)} keys (such as '
                f'{list(given)[:3]}). Take a file with the names of DINOv2'
            )
        given = {
            key[len(places[0]) :]: value
            for key, value in given.items()
            if key.startswith(places[0])
            and not key[len(places[0]) :].startswith(self.not_used)
        }
        own = {key: value.shape for key, value in self.state_dict().items()}
        problems = [
            f'{what}: {", ".join(keys[:8])}{" ..." if keys[8:] else ""}'
            for what, keys in (
                ('missing', [key for key in own if key not in given]),
                ('left over', [key for key in given if key not in own]),
                (
                    'of another shape',
                    [
                        f'{key} {tuple(value.shape)} instead of '
                        f'{tuple(own[key])}'
                        for key, value in given.items()
                        if own.get(key, value.shape) != value.shape
                    ],
                ),
            )
            if keys
        ]
        if problems:
            raise ValueError(
                f'these weights do not fit PlainViT: {"; ".join(problems)}. '
                'Set arch, patch_size, img_size (side of the grid in '
                'pos_embed times patch_size), num_registers and layer_scale '
                'as the encoder has them'
            )
        state_dict.update({prefix + key: given[key] for key in given})

    def _load_from_state_dict(
        self, state_dict: Dict[str, Tensor], prefix: str, *args, **kwargs
    ) -> None:
        """Load the weights of an encoder or of a detector.

        What a detector's checkpoint lacks altogether is reported by torch.
        """
        if not prefix or any(key.startswith(prefix) for key in state_dict):
            self._take_encoder(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _flatten(name: str, value, out: Dict[str, Tensor]) -> None:
    """Collect the tensors of nested dicts under dotted names."""
    if isinstance(value, Tensor):
        out[name] = value
    elif isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f'{name}.{key}', inner, out)
