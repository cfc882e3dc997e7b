# Copyright (c) mmleuk authors. All rights reserved.
"""Look into a checkpoint without running anything of it.

Tells whether it can be loaded, what it was trained to name, and what a file
that is refused asks for::

    python tools/analysis_tools/check_checkpoint.py CHECKPOINT

The exit status is 0 if it can be loaded, 1 if it is refused. ``--self-test``
offers hostile checkpoints to everything that loads one, and shows whether any
of their code ran::

    python tools/analysis_tools/check_checkpoint.py --self-test
"""

import argparse
import os.path as osp
import pickle
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

import torch
from mmdet.utils import register_all_modules
from terminaltables import AsciiTable

from mmleuk.apis.checkpoint_trials import GOOD, run_trials
from mmleuk.apis.safe_checkpoint import check_names, hash_file, read_config
from mmleuk.engine.checkpoint_loaders import load_weights_only
from mmleuk.engine.checkpoint_metadata import read_calibration, read_trained_on


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='Exit status: 0 it can be loaded, 1 it is refused.',
    )
    parser.add_argument('checkpoint', nargs='?', help='path of the file')
    parser.add_argument(
        '--self-test',
        action='store_true',
        help='offer hostile checkpoints to all that loads one',
    )
    args = parser.parse_args()
    if (args.checkpoint is None) != args.self_test:
        parser.error('expected a checkpoint, or --self-test')
    if args.checkpoint and not osp.isfile(args.checkpoint):
        parser.error(f'there is no file {args.checkpoint}')
    return args


def list_names(path: str) -> List[str]:
    """List what a file asks for beyond weights, without loading it.

    Args:
        path (str): The file.

    Returns:
        list[str]: Dotted names, as far as torch can tell.
    """
    find = getattr(
        torch.serialization, 'get_unsafe_globals_in_checkpoint', None
    )
    if find is None:
        return [f'torch {torch.__version__} can not tell, 2.6 can']
    try:
        return sorted(find(path))
    except (RuntimeError, ValueError, EOFError, pickle.PickleError) as error:
        return [f'torch can not tell: {error}']


def count_numbers(weights: Any) -> int:
    """Count the numbers of all tensors in a dict of weights."""
    values = weights.values() if isinstance(weights, dict) else []
    return sum(v.numel() for v in values if isinstance(v, torch.Tensor))


def describe(path: str) -> Dict[str, str]:
    """Describe a checkpoint that can be loaded.

    Args:
        path (str): The file.

    Returns:
        dict[str, str]: What it is, by name.

    Raises:
        UnpicklingError: If it holds more than weights and what MMEngine's
            runner writes.
        ValueError: If it is no checkpoint, or cut short.
    """
    checkpoint = load_weights_only(path, 'cpu')
    rows = {'SHA-256': hash_file(path)}
    if not isinstance(checkpoint, dict) or 'meta' not in checkpoint:
        rows['kind'] = 'weights alone, without a word on what they are of'
        weights = getattr(checkpoint, 'get', lambda *_: checkpoint)(
            'state_dict', checkpoint
        )
        rows['numbers'] = f'{count_numbers(weights):,}'
        return rows
    meta = checkpoint['meta']
    rows['kind'] = "checkpoint of MMEngine's runner"
    rows['numbers'] = f'{count_numbers(checkpoint.get("state_dict")):,}'
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
        config = read_config(checkpoint, path)
        check_names(config, path)
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


def check(path: str) -> int:
    """Print what a checkpoint is.

    Args:
        path (str): The file.

    Returns:
        int: The exit status.
    """
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


def self_test() -> int:
    """Offer hostile checkpoints and print what came of them.

    Returns:
        int: The exit status: 0 if all were refused and good ones loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = run_trials(Path(folder))
    rows = [['loader', 'good, loaded', 'hostile', 'refused, nothing ran']]
    count = Counter()
    for result in results:
        kind = 'good' if result.file == GOOD else 'hostile'
        count[result.loader, kind] += 1
        count[result.loader, kind, 'right'] += not result.problem
    for loader in dict.fromkeys(result.loader for result in results):
        right = count[loader, 'good', 'right']
        rows.append(
            [
                loader,
                f'{right} of {count[loader, "good"]}',
                count[loader, 'hostile'],
                count[loader, 'hostile', 'right'],
            ]
        )
    print('Hostile files, each of which runs its code if nothing checks it:')
    for name in dict.fromkeys(result.file for result in results):
        if name != GOOD:
            print(f'- {name}')
    print(AsciiTable(rows).table)
    problems = [result for result in results if result.problem]
    for result in problems:
        print(f'{result.file}, {result.loader}: {result.problem}')
    if not problems:
        print('All hostile files were refused, and no code of theirs ran.')
    return int(bool(problems))


def main() -> int:
    """Check and print.

    Returns:
        int: The exit status.
    """
    args = parse_args()
    register_all_modules()
    return self_test() if args.self_test else check(args.checkpoint)


if __name__ == '__main__':
    sys.exit(main())
