# Copyright (c) mmleuk authors. All rights reserved.
"""Safe replacements for MMEngine's checkpoint loaders.

MMEngine 0.10.7 leaves the check to torch's default, which does not check
downloads in any version; MMEngine of the ``onedl`` stack reads a file that
torch refuses once more, without the check. So the loaders are replaced by
``CheckpointLoader.register_scheme``, MMEngine's own interface for that.
"""

import logging
import os
import os.path as osp
import pickle
import re
import struct
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Mapping, Optional, Union

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    _get_mmengine_home,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch.hub import load_state_dict_from_url

from .safe_globals import allow_own_checkpoints

# Prefix of the backbone's weights in mmpretrain's classifiers.
BACKBONE = 'backbone.'
# What torch raises on files of another format.
_GARBAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def load_checkpoints_safely() -> None:
    """Let no checkpoint that this process loads run code.

    Holds for all that MMEngine and MMDetection load: ``load_from``,
    ``resume``, ``init_cfg``, ``tools/test.py``; from a local file, an address,
    a model zoo or S3. Weights load, and what MMEngine's runner writes beside
    them (see :func:`allow_own_checkpoints`); a file that holds more is refused
    with an ``UnpicklingError``. Schemes of other packages are left as they
    are.

    With torch < 2.5, which can't be told what MMEngine writes, nothing is
    replaced, and a warning says that nothing is checked.

    Call it once, before a checkpoint is loaded. A second call changes nothing.
    """
    if not hasattr(torch.serialization, 'safe_globals'):
        print_log(
            f'torch {torch.__version__} can not check what a checkpoint of '
            "MMEngine's runner does when it is loaded, expected 2.5 or later: "
            'load only files whose makers you trust',
            logger='current',
            level=logging.WARNING,
        )
        return
    allow_own_checkpoints()
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), _load_from_http),
        (('modelzoo://', 'torchvision://'), _load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), _load_from_openmmlab),
        ('mmcls://', _load_from_mmcls),
        (r'(\S+\:)?s3://', _load_from_s3),
        ('pavi://', _refuse_pavi),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_weights_only(
    file: Union[str, Path, BinaryIO],
    map_location: Any = None,
    name: Optional[str] = None,
) -> Any:
    """Read a checkpoint without running anything of it.

    Args:
        file (str | Path | BinaryIO): Its path, or the open file.
        map_location (Any): As for :func:`torch.load`.
        name (str, optional): Name for messages, if not the path.

    Returns:
        Any: The content, usually a dict.

    Raises:
        UnpicklingError: If it holds more than weights and what MMEngine's
            runner writes beside them.
        ValueError: If it is no checkpoint, or cut short.
    """
    name = str(file) if name is None else name
    allow_own_checkpoints()
    try:
        return torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(name, error) from error
    except _GARBAGE as error:
        raise ValueError(
            f'{name} is no checkpoint, or is cut short: {error!r}'
        ) from error


def load_from_local(
    filename: Union[str, Path], map_location: Any = None
) -> Any:
    """Load a local file by :func:`load_weights_only`.

    Args:
        filename (str | Path): Its path, in which ``~`` is the home folder.
        map_location (Any): As for :func:`torch.load`.

    Returns:
        Any: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'there is no checkpoint {path}, expected a local file'
        )
    return load_weights_only(path, map_location)


def _load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a file to torch's cache, first in the main process."""
    if not is_main_process():
        barrier()
    try:
        allow_own_checkpoints()
        return load_state_dict_from_url(
            filename,
            map_location=map_location,
            progress=os.isatty(0),
            weights_only=True,
        )
    except pickle.UnpicklingError as error:
        raise _refusal(filename, error) from error
    finally:
        if is_main_process():
            barrier()


def _load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load weights of torchvision by the name of the model."""
    url = _look_up(filename, get_torchvision_models())
    return _load_from_http(url, map_location)


def _load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load weights of OpenMMLab's model zoo by the name of the model."""
    prefix, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    place = _look_up(f'{prefix}://{name}', get_external_models())
    if place.startswith(('http://', 'https://')):
        return _load_from_http(place, map_location)
    # The user's own list in MMEngine's home may name files.
    return load_from_local(osp.join(_get_mmengine_home(), place), map_location)


def _load_from_mmcls(filename: str, map_location: Any = None) -> dict:
    """Load the backbone of a model of MMClassification."""
    url = _look_up(filename, get_mmcls_models())
    checkpoint = _load_from_http(url, map_location)
    weights = checkpoint.get('state_dict', checkpoint)
    return dict(
        state_dict={
            key[len(BACKBONE) :]: value
            for key, value in weights.items()
            if key.startswith(BACKBONE)
        }
    )


def _load_from_s3(filename: str, map_location: Any = None) -> Any:
    """Load an object of S3 by MMEngine's file backend."""
    return load_weights_only(BytesIO(get(filename)), map_location, filename)


def _refuse_pavi(filename: str, map_location: Any = None) -> None:
    """Refuse a service of SenseTime, whose loader checks nothing."""
    raise ValueError(
        f'{filename} can not be loaded without running what is in it: '
        'download the file and name its path'
    )


def _look_up(filename: str, places: Mapping[str, str]) -> str:
    """Find the address of a model by its name."""
    prefix, _, name = filename.partition('://')
    if name not in places:
        raise ValueError(
            f'{filename} is unknown, expected {prefix}:// and one of '
            f'{sorted(places)}'
        )
    return places[name]


def _refusal(name: str, error: Exception) -> pickle.UnpicklingError:
    """Make the error that says why a file was not loaded."""
    old_torch = (
        ''
        if hasattr(torch.serialization, 'safe_globals')
        else f" (which torch {torch.__version__} can't be told, 2.5 can)"
    )
    # The rest of torch's message advises to load the file without a check.
    text = str(error)
    asked = re.search(r'GLOBAL (\S+)', text)
    told = re.search(r'WeightsUnpickler error:\s*(\S.*)', text)
    if asked:
        reason = f'it asks for {asked.group(1)}'
    else:
        reason = told.group(1) if told else 'its pickle holds something else'
    return pickle.UnpicklingError(
        f'{name} was not loaded, for it may run any code, expected weights '
        f"and what MMEngine's runner writes beside them{old_torch}: {reason}"
    )
