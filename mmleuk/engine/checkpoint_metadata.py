# Copyright (c) mmleuk authors. All rights reserved.
"""Metadata in a checkpoint: calibration, types and attributes."""

from pathlib import Path
from typing import Mapping, Optional, Tuple, Union

import torch

from mmleuk.evaluation.functional import Calibration
from mmleuk.io.atomic_write import atomic_path
from mmleuk.structures import AttributeSchema

from .checkpoint_loaders import load_weights_only

CALIBRATION_KEY = 'mmleuk_calibration'


def load_whole_checkpoint(path: Union[str, Path]) -> dict:
    """Load a checkpoint of MMEngine's runner with all that it holds.

    Args:
        path (str | Path): The file.

    Returns:
        dict: Its content on the CPU, with ``meta``.

    Raises:
        FileNotFoundError: If there is no such file.
        UnpicklingError: If it holds anything but weights and what MMEngine's
            runner writes beside them.
        ValueError: If it is no checkpoint of MMEngine's runner, or cut short.
    """
    checkpoint = load_weights_only(path, 'cpu')
    if not isinstance(checkpoint, dict) or not isinstance(
        checkpoint.get('meta'), Mapping
    ):
        raise ValueError(
            f"{path} has no `meta`, expected a checkpoint of MMEngine's "
            'runner, not weights alone'
        )
    return checkpoint


def read_calibration(meta: Mapping) -> Optional[Calibration]:
    """Read the calibration that a checkpoint carries.

    Args:
        meta (Mapping): ``checkpoint['meta']``.

    Returns:
        Calibration | None: None if the checkpoint is not calibrated.

    Raises:
        ValueError: If it is malformed, or is of attributes that the
            checkpoint's data set doesn't have.
    """
    if meta.get(CALIBRATION_KEY) is None:
        return None
    calibration = Calibration.from_dict(meta[CALIBRATION_KEY])
    attributes = (meta.get('dataset_meta') or {}).get('attributes')
    if attributes is not None:
        names = AttributeSchema(attributes).names
        foreign = set(calibration.attribute_temperatures) - set(names)
        if foreign:
            raise ValueError(
                f'the calibration has temperatures of {sorted(foreign)}, '
                f'expected attributes of the checkpoint: {list(names)}'
            )
    return calibration


def read_trained_on(
    checkpoint: Mapping, name: Union[str, Path]
) -> Tuple[Tuple[str, ...], Optional[AttributeSchema]]:
    """Read the types and attributes that a checkpoint was trained on.

    Args:
        checkpoint (Mapping): The checkpoint.
        name (str | Path): Its path, for the message.

    Returns:
        tuple[tuple[str], AttributeSchema | None]: The types, and the
        attributes if the data set has any.

    Raises:
        ValueError: If its metadata lack the types.
    """
    meta = checkpoint['meta'].get('dataset_meta') or {}
    if 'classes' not in meta:
        raise ValueError(
            f"{name} doesn't say which types it names: its `meta` has no "
            '`dataset_meta` with `classes`, which every checkpoint of '
            "MMEngine's runner has"
        )
    attributes = meta.get('attributes')
    return (
        tuple(meta['classes']),
        None if attributes is None else AttributeSchema(attributes),
    )


def store_calibration(
    checkpoint: dict,
    calibration: Calibration,
    path: Union[str, Path],
    overwrite: bool = False,
) -> None:
    """Write a checkpoint with its calibration, as a whole or not at all.

    The new file is loaded once before it replaces an old one.

    Args:
        checkpoint (dict): The whole checkpoint, which is not changed.
        calibration (Calibration): Replaces the one it has.
        path (str | Path): The file to write.
        overwrite (bool): Whether an existing file may be replaced.

    Raises:
        FileExistsError: If it exists and may not be replaced.
        ValueError: If the calibration names attributes that the checkpoint's
            data set doesn't have.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(
            f'{path} is there already: name another file, or remove it'
        )
    meta = dict(checkpoint['meta'])
    meta[CALIBRATION_KEY] = calibration.to_dict()
    read_calibration(meta)
    with atomic_path(path) as partial:
        torch.save({**checkpoint, 'meta': meta}, partial)
        written = read_calibration(load_whole_checkpoint(partial)['meta'])
        if written != calibration:
            raise OSError(
                f'{partial} was written and holds {written}, expected '
                f'{calibration}: is the disk sound?'
            )
