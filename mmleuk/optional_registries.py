# Copyright (c) mmleuk authors. All rights reserved.
"""Says how to install a package that a config names and nobody has.

MMEngine imports a package by itself when a config names one of its modules, as
in ``type='mmpretrain.ConvNeXt'``. Of a missing one it only says "Failed to get
mmpretrain.ConvNeXt".
"""

from importlib.util import find_spec

from mmengine.registry import MODELS, Registry


class MissingRegistry(Registry):
    """Stands in for the registry of a package that is not installed.

    Args:
        name (str): Name of the registry.
        parent (Registry): MMEngine's.
        scope (str): Name of the package.
        how (str): What to install.
    """

    def __init__(
        self, name: str, parent: Registry, scope: str, how: str
    ) -> None:
        super().__init__(name, parent=parent, scope=scope)
        self.how = how

    def get(self, key: str) -> None:
        """Raise a ModuleNotFoundError that names the package."""
        raise ModuleNotFoundError(
            f'the config names {self.scope}.{key}, and {self.scope} is not '
            f'installed: {self.how}',
            name=self.scope,
        )


if find_spec('mmpretrain') is None:
    MissingRegistry(
        'model',
        parent=MODELS,
        scope='mmpretrain',
        how='run pip install "mmleuk[mmpretrain]", or with the stack onedl '
        '"mmleuk[onedl-mmpretrain]". It needs the torchvision of your torch, '
        'too (docs/swap_backbone.md)',
    )
