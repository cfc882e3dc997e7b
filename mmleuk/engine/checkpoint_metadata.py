# Copyright (c) mmleuk authors. All rights reserved.
"""What a checkpoint knows of itself beside its weights."""

import os
from pathlib import Path
from typing import Mapping, Optional, Tuple, Union

import torch

from mmleuk.evaluation.functional import Calibration
from mmleuk.structures import AttributeSchema

from .checkpoint_loaders import load_weights_only

CALIBRATION_KEY = 'mmleuk_calibration'


def load_whole_checkpoint(path: Union[str, Path]) -> dict:
    """Load all of a checkpoint onto the CPU, as it is in the file.

    Args:
        path (str | Path): A checkpoint of MMEngine's runner.

    Returns:
        dict: Its content, with ``meta``.

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
        Calibration | None: None if nobody calibrated the checkpoint.

    Raises:
        ValueError: If what it carries is no calibration, or one of attributes
            that the checkpoint's data set doesn't have.
    """
    if meta.get(CALIBRATION_KEY) is None:
        return None
    calibration = Calibration.from_dict(meta[CALIBRATION_KEY])
    attributes = (meta.get('dataset_meta') or {}).get('attributes')
    if attributes is not None:
        _check_names(calibration, AttributeSchema(attributes))
    return calibration


def read_trained_on(
    checkpoint: Mapping, name: Union[str, Path]
) -> Tuple[Tuple[str, ...], Optional[AttributeSchema]]:
    """Read which types and attributes a checkpoint was trained to name.

    Args:
        checkpoint (Mapping): The checkpoint.
        name (str | Path): Its path, for the message.

    Returns:
        tuple: The types, tuple[str], and the attributes, AttributeSchema or
        None for a data set without.

    Raises:
        ValueError: If it doesn't say.
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
    """Write a checkpoint with its calibration, in one step.

    What is cut short leaves no file, and an old file as it was. The new file
    is loaded once before it gets its name.

    Args:
        checkpoint (dict): All of the checkpoint, which is left as it is.
        calibration (Calibration): Replaces the one it has.
        path (str | Path): The file to write. Its folder must be there.
        overwrite (bool): Whether the file may be there. Defaults to False.

    Raises:
        FileExistsError: If it is there and may not be.
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
    partial = path.with_name(f'.{path.name}.partial')
    try:
        torch.save({**checkpoint, 'meta': meta}, partial)
        written = read_calibration(load_whole_checkpoint(partial)['meta'])
        if written != calibration:
            raise OSError(
                f'{partial} was written and holds {written}, expected '
                f'{calibration}: is the disk sound?'
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _check_names(calibration: Calibration, schema: AttributeSchema) -> None:
    """Raise a ValueError if a temperature belongs to no attribute."""
    foreign = set(calibration.attribute_temperatures) - set(schema.names)
    if foreign:
        raise ValueError(
            f'the calibration has temperatures of {sorted(foreign)}, '
            f'expected attributes of the checkpoint: {list(schema.names)}'
        )
