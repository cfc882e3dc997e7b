# Copyright (c) mmleuk authors. All rights reserved.
"""Look into a checkpoint without running anything of it.

Prints whether it can be loaded and what it was trained on, or what a file
that is refused asks for::

    python tools/analysis_tools/check_checkpoint.py CHECKPOINT

The exit status is 0 if it can be loaded, 1 if it is refused.
"""

import argparse
import os.path as osp
import pickle
import sys
from typing import Any, Dict, List

import torch
from mmdet.utils import register_all_modules

from mmleuk.apis.safe_checkpoint import check_names, hash_file, read_config
from mmleuk.engine.checkpoint_loaders import load_weights_only
from mmleuk.engine.checkpoint_metadata import read_calibration, read_trained_on


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='Exit status: 0 it can be loaded, 1 it is refused.',
    )
    parser.add_argument('checkpoint', help='path of the file')
    args = parser.parse_args()
    if not osp.isfile(args.checkpoint):
        parser.error(f'there is no file {args.checkpoint}')
    return args


def list_names(path: str) -> List[str]:
    """List the dotted names that a file asks for, without loading it."""
    find = getattr(
        torch.serialization, 'get_unsafe_globals_in_checkpoint', None
    )
    if find is None:
        return [f'torch {torch.__version__} can not tell, 2.6 can']
    try:
        return sorted(find(path))
    except (RuntimeError, ValueError, EOFError, pickle.PickleError) as error:
        return [f'torch can not tell: {error}']


def count_numbers(weights: Any) -> str:
    """Count the numbers of all tensors in a dict of weights."""
    values = weights.values() if isinstance(weights, dict) else []
    tensors = (value for value in values if isinstance(value, torch.Tensor))
    return f'{sum(tensor.numel() for tensor in tensors):,}'


def describe(path: str) -> Dict[str, str]:
    """Describe a checkpoint that can be loaded.

    Args:
        path (str): The file.

    Returns:
        dict[str, str]: What to print, by title.

    Raises:
        UnpicklingError: If it holds more than weights and what MMEngine's
            runner writes.
        ValueError: If it is no checkpoint, or cut short.
    """
    checkpoint = load_weights_only(path, 'cpu')
    rows = {'SHA-256': hash_file(path)}
    weights = checkpoint
    if isinstance(checkpoint, dict):
        weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(checkpoint, dict) or 'meta' not in checkpoint:
        rows['kind'] = 'weights alone, without metadata'
        rows['numbers'] = count_numbers(weights)
        return rows
    meta = checkpoint['meta']
    rows['kind'] = "checkpoint of MMEngine's runner"
    rows['numbers'] = count_numbers(weights)
    for key in ('epoch', 'iter', 'time', 'seed'):
        if key in meta:
            rows[key] = str(meta[key])
    try:
        classes, schema = read_trained_on(checkpoint, path)
        rows['types'] = ', '.join(classes)
        rows['attributes'] = ', '.join(schema.names) if schema else 'none'
    except ValueError as error:
        rows['types'] = str(error)
    try:
        check_names(read_config(checkpoint, path), path)
        rows['config'] = 'literals of known modules: inference takes it'
    except ValueError as error:
        rows['config'] = str(error)
    try:
        calibration = read_calibration(meta)
        rows['calibration'] = 'none' if calibration is None else 'yes'
    except ValueError as error:
        rows['calibration'] = str(error)
    resumable = 'optimizer' in checkpoint
    rows['can be resumed'] = 'yes' if resumable else 'no, it has no optimizer'
    return rows


def main() -> int:
    """Print what a checkpoint is, and return the exit status."""
    path = parse_args().checkpoint
    register_all_modules()
    try:
        rows = describe(path)
    except (pickle.UnpicklingError, ValueError) as error:
        print(f'REFUSED: {error}\n\nBeyond weights it asks for:')
        for name in list_names(path):
            print(f'- {name}')
        return 1
    print('It can be loaded: nothing in it is run.')
    for name, value in rows.items():
        print(f'{name:18s} {value}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
