# Copyright (c) mmleuk authors. All rights reserved.
"""What MMEngine loads checkpoints by, without running what is in them.

MMEngine 0.10.7 leaves the check to torch's default, which downloads don't
have in any version of torch; the ``onedl`` fork reads a file that torch
refuses once more, without the check. So the loaders are replaced here, by
``CheckpointLoader.register_scheme``, which is MMEngine's own place for that.
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

# What mmpretrain's classifiers call the part that a detector takes over.
BACKBONE = 'backbone.'
# What torch's reader raises on a file that it never wrote.
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
    with an ``UnpicklingError``. Schemes of other packages stay theirs.

    torch before 2.5 can't be told what MMEngine writes: there nothing is
    replaced and a warning says that nothing is checked.

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
        (('http://', 'https://'), load_from_http),
        (('modelzoo://', 'torchvision://'), load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
        (r'(\S+\:)?s3://', load_from_ceph),
        ('pavi://', load_from_pavi),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_weights_only(
    file: Union[str, Path, BinaryIO],
    map_location: Any = None,
    name: Optional[str] = None,
) -> Any:
    """Read a checkpoint, and run nothing of it.

    Args:
        file (str | Path | BinaryIO): Its path, or the open file.
        map_location (Any): As of :func:`torch.load`. Defaults to None.
        name (str, optional): What messages call it. Defaults to its path.

    Returns:
        Any: The content, mostly a dict.

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


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local file.

    Args:
        filename (str): Its path.
        map_location (Any): As of :func:`torch.load`. Defaults to None.

    Returns:
        Any: The checkpoint.

    Raises:
        FileNotFoundError: If it is not there.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'there is no checkpoint {path}, expected a file'
        )
    return load_weights_only(path, map_location)


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a file, unless it was before, and load it.

    The main process is the first; the others wait, and find its file.

    Args:
        filename (str): The address.
        map_location (Any): As of :func:`torch.load`. Defaults to None.

    Returns:
        Any: The checkpoint.
    """
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


def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load weights of torchvision by the name of the model.

    Args:
        filename (str): ``torchvision://`` or ``modelzoo://``, and the name.
        map_location (Any): As of :func:`torch.load`. Defaults to None.

    Returns:
        Any: The weights.
    """
    url = _look_up(filename, get_torchvision_models())
    return load_from_http(url, map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load weights of OpenMMLab's model zoo by the name of the model.

    Args:
        filename (str): ``open-mmlab://`` or ``openmmlab://``, and the name.
        map_location (Any): As of :func:`torch.load`. Defaults to None.

    Returns:
        Any: The checkpoint.
    """
    prefix, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    place = _look_up(f'{prefix}://{name}', get_external_models())
    if place.startswith(('http://', 'https://')):
        return load_from_http(place, map_location)
    # A user's own list, which MMEngine reads from its home, may name files.
    return load_from_local(osp.join(_get_mmengine_home(), place), map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> dict:
    """Load the backbone of one of MMClassification's models.

    Args:
        filename (str): ``mmcls://`` and the name of the model.
        map_location (Any): As of :func:`torch.load`. Defaults to None.

    Returns:
        dict: ``state_dict``, with the backbone's weights alone.
    """
    url = _look_up(filename, get_mmcls_models())
    checkpoint = load_from_http(url, map_location)
    weights = checkpoint.get('state_dict', checkpoint)
    return dict(
        state_dict={
            key[len(BACKBONE) :]: value
            for key, value in weights.items()
            if key.startswith(BACKBONE)
        }
    )


def load_from_ceph(filename: str, map_location: Any = None) -> Any:
    """Load an object of S3 by MMEngine's file backend for it.

    Args:
        filename (str): Its address.
        map_location (Any): As of :func:`torch.load`. Defaults to None.

    Returns:
        Any: The checkpoint.
    """
    return load_weights_only(BytesIO(get(filename)), map_location, filename)


def load_from_pavi(filename: str, map_location: Any = None) -> None:
    """Refuse a service that nobody outside of SenseTime can reach.

    Args:
        filename (str): The name.
        map_location (Any): Is not used.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f'{filename} can not be loaded without running what is in it: '
        'download the file and name its path'
    )


def _look_up(filename: str, places: Mapping[str, str]) -> str:
    """Find where a named model lies."""
    prefix, _, name = filename.partition('://')
    if name not in places:
        raise ValueError(
            f'{filename} is unknown, expected {prefix}:// and one of '
            f'{sorted(places)}'
        )
    return places[name]


def _refusal(name: str, error: Exception) -> pickle.UnpicklingError:
    """Say why a file was not loaded and what to do."""
    old_torch = (
        ''
        if hasattr(torch.serialization, 'safe_globals')
        else f" (which torch {torch.__version__} can't be told, 2.5 can)"
    )
    # The rest of torch's message is how to load the file all the same.
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
