# Copyright (c) mmleuk authors. All rights reserved.
"""The setting ``unsqueeze`` of a config."""

from numbers import Real
from typing import Any, Set

from mmengine.config import Config

# Transforms whose sizes in pixels grow with the fields, and the argument.
_SIZES = dict(
    Resize='scale',
    RandomResize='scale',
    RandomChoiceResize='scales',
    CachedRegionMosaic='img_scale',
    Mosaic='img_scale',
    CachedMosaic='img_scale',
    MixUp='img_scale',
    CachedMixUp='img_scale',
)
_TYPE = 'mmleuk.UnsqueezeResize'


def apply_unsqueeze(cfg: Config) -> None:
    """Let all pipelines of a config widen squeezed fields, in place.

    If the config has ``unsqueeze``, the width over height of a round cell in
    the files (0.6 for LLD), every transform that resizes to a greatest size
    gives images of true proportions, that much wider, and mosaics are wider,
    too. The setting is removed, so that what is written down of the config
    states what is done, and does it once.

    Args:
        cfg (Config): The config.

    Raises:
        ValueError: If the setting is no positive number, or no transform of
            the config resizes.
    """
    squeeze = cfg.pop('unsqueeze', None)
    if squeeze is None:
        return
    if not isinstance(squeeze, Real) or squeeze <= 0:
        raise ValueError(
            f'unsqueeze is {squeeze!r}, expected the width over height of a '
            'round cell in the files, such as 0.6'
        )
    changed: Set[int] = set()
    for part in cfg.values():
        _widen(part, float(squeeze), changed)
    if not changed:
        raise ValueError(
            f'unsqueeze is {squeeze}, but no pipeline of the config has one '
            f'of {", ".join(_SIZES)}, or all are widened already: leave the '
            'setting out for the config that a run has stored'
        )


def _widen(node: Any, squeeze: float, changed: Set[int]) -> None:
    """Widen the transforms in a part of a config, each once."""
    if isinstance(node, (list, tuple)):
        for item in node:
            _widen(item, squeeze, changed)
    if not isinstance(node, dict):
        return
    kind = node.get('type')
    name = getattr(kind, '__name__', str(kind)).rpartition('.')[2]
    key = _SIZES.get(name)
    if key in node and 'squeeze' not in node and id(node) not in changed:
        changed.add(id(node))
        node[key] = _wider(node[key], squeeze)
        # Without `keep_ratio` an image is stretched to the size.
        if 'Resize' in name and node.get('keep_ratio'):
            node['type' if name == 'Resize' else 'resize_type'] = _TYPE
            node['squeeze'] = squeeze
    for value in node.values():
        _widen(value, squeeze, changed)


def _wider(size: Any, squeeze: float) -> Any:
    """Widen a size (width, height), the side of a square, or a list of such.

    Args:
        size (int | tuple | list): As transforms take it.
        squeeze (float): Width over height of a round cell.

    Returns:
        tuple | list: In the same form, a pair in place of a side.
    """
    if isinstance(size, int):
        size = (size, size)
    if all(isinstance(side, int) for side in size):
        width, height = size
        return round(width / squeeze), height
    return [_wider(item, squeeze) for item in size]
