# Copyright (c) mmleuk authors. All rights reserved.
"""Says how to install a package that a config names and nobody has.

MMEngine imports a package by itself when a config names one of its modules, as
in ``type='mmpretrain.ConvNeXt'``. Of a missing one it only says "Failed to get
mmpretrain.ConvNeXt".
"""

from importlib.util import find_spec
from typing import Sequence

from mmengine.registry import MODELS, Registry


class MissingRegistry(Registry):
    """Stands in for the registry of a package that is not installed.

    Args:
        name (str): Name of the registry.
        parent (Registry): MMEngine's.
        scope (str): Name of the package.
        missing (Sequence[str]): What is not installed: the package itself, or
            what its import needs.
        how (str): What to install.
    """

    def __init__(
        self,
        name: str,
        parent: Registry,
        scope: str,
        missing: Sequence[str],
        how: str,
    ) -> None:
        super().__init__(name, parent=parent, scope=scope)
        self.missing = missing
        self.how = how

    def get(self, key: str) -> None:
        """Raise a ModuleNotFoundError that names the package."""
        raise ModuleNotFoundError(
            f'the config names {self.scope}.{key}, and '
            f'{" and ".join(self.missing)} is not installed: {self.how}',
            name=self.missing[0],
        )


_MISSING = [
    name for name in ('mmpretrain', 'torchvision') if find_spec(name) is None
]
if _MISSING:
    MissingRegistry(
        'model',
        parent=MODELS,
        scope='mmpretrain',
        missing=_MISSING,
        how='run pip install "mmleuk[mmpretrain]", or with the stack onedl '
        '"mmleuk[onedl-mmpretrain]". It needs the torchvision of your torch, '
        'too (docs/swap_backbone.md)',
    )
