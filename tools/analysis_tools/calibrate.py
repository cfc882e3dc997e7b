# Copyright (c) mmleuk authors. All rights reserved.
"""Calibrate the scores of a checkpoint on fields it was not trained on.

Takes the predictions that ``tools/test.py --out`` dumped, fits a temperature
for the type's score and one for each attribute, and writes them into a copy of
the checkpoint. Inference then says how likely a type or value is right::

    python tools/test.py CONFIG CHECKPOINT --out work_dirs/val.pkl
    python tools/analysis_tools/calibrate.py CONFIG CHECKPOINT \
        work_dirs/val.pkl --out work_dirs/calibrated.pth
"""

import argparse
import math
import pickle
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
from dump_options import (
    add_dump_options,
    check_dump_options,
    read_config,
)
from mmdet.utils import register_all_modules
from terminaltables import AsciiTable

from mmleuk.config_files import config_path
from mmleuk.engine.checkpoint_metadata import (
    load_whole_checkpoint,
    read_trained_on,
    store_calibration,
)
from mmleuk.engine.dumped_results import (
    DumpedResults,
    image_paths,
    read_dumped_results,
)
from mmleuk.evaluation.functional import TemperatureFit, fit_calibration


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'config', type=config_path, help='config that the test ran with'
    )
    parser.add_argument('checkpoint', help='checkpoint that was tested')
    parser.add_argument(
        'results', help='its predictions, from tools/test.py --out'
    )
    parser.add_argument(
        '--out',
        metavar='NEW.pth',
        help='file for the calibrated checkpoint; default: beside the '
        'checkpoint, _calibrated added to its name',
    )
    parser.add_argument(
        '--in-place',
        action='store_true',
        help='write the calibration into the checkpoint itself',
    )
    parser.add_argument(
        '--prior-std',
        type=float,
        default=0.5,
        help='how far log(temperature) may be from 0 before any cell is '
        'seen; inf: fit by likelihood alone (default: 0.5)',
    )
    add_dump_options(
        parser, 'lowest score of a detection that people get to see'
    )
    args = parser.parse_args()
    check_dump_options(parser, args, ('config', 'checkpoint', 'results'))
    if args.in_place and args.out is not None:
        parser.error('got --in-place and --out, expected one of them')
    if not args.prior_std > 0:
        parser.error(
            f'--prior-std is {args.prior_std}, expected a number above 0'
        )
    if not args.in_place:
        checkpoint = Path(args.checkpoint)
        args.out = args.out or str(
            checkpoint.with_name(
                f'{checkpoint.stem}_calibrated{checkpoint.suffix}'
            )
        )
        if Path(args.out).exists():
            parser.error(
                f'{args.out} is there already: name another file by --out, '
                'or remove it'
            )
    return args


def check_fit(checkpoint: dict, path: str, results: DumpedResults) -> None:
    """Refuse results that another model made.

    Args:
        checkpoint (dict): The checkpoint.
        path (str): Its path, for the message.
        results (DumpedResults): Predictions and labels.

    Raises:
        ValueError: If types or attributes differ.
    """
    classes, schema = read_trained_on(checkpoint, path)
    if classes != results.classes:
        raise ValueError(
            f'{path} names the types {list(classes)}, expected those of the '
            f'data set the results are of: {list(results.classes)}'
        )
    own, other = (
        None
        if attributes is None
        else [(a.name, a.values) for a in attributes]
        for attributes in (schema, results.schema)
    )
    if own != other:
        raise ValueError(
            f'{path} names the attributes {own}, expected those of the data '
            f'set the results are of: {other}'
        )


def check_held_out(results: DumpedResults, train_paths: List[str]) -> None:
    """Refuse fields that the model was trained on.

    Args:
        results (DumpedResults): Predictions and labels.
        train_paths (list[str]): Images of the training.

    Raises:
        ValueError: If any field is in both.
    """
    trained = sorted(
        {image['name'] for image in results.images} & set(train_paths)
    )
    if trained:
        raise ValueError(
            f'{len(trained)} of {len(results.images)} fields, {trained[0]} '
            'the first, were trained on, where scores are higher and more '
            'often right than elsewhere: expected results of other fields'
        )


def group_images(results: DumpedResults) -> Tuple[np.ndarray, str]:
    """Group the images that must stay in one fold.

    Args:
        results (DumpedResults): Predictions and labels.

    Returns:
        tuple[np.ndarray, str]: Number of the group of each image, in the
        order of their names, and what a group is.
    """
    images = sorted(results.images, key=lambda image: image['name'])
    patients = [image['patient'] for image in images]
    if None not in patients and len(set(patients)) > 1:
        return np.unique(patients, return_inverse=True)[1], 'patients'
    return np.arange(len(images)), 'images'


def tabulate(fits: List[TemperatureFit]) -> str:
    """Write the temperatures as a table.

    Args:
        fits (list[TemperatureFit]): A row each.

    Returns:
        str: The table.
    """
    rows = [
        ['score', 'cells', 'T', 'NLL before', 'after', 'ECE before', 'after']
    ]
    for fit in fits:
        values = (
            fit.temperature,
            fit.nll_before,
            fit.nll_after,
            fit.ece_before,
            fit.ece_after,
        )
        rows.append([fit.title, str(fit.num_cells), *map(_format, values)])
    table = AsciiTable(rows)
    table.justify_columns = dict.fromkeys(range(1, len(rows[0])), 'right')
    return table.table


def _format(value: Optional[float]) -> str:
    """Write a number, or a dash if there is none."""
    return '-' if value is None or math.isnan(value) else f'{value:.3f}'


def report(fits: List[TemperatureFit], groups: str) -> None:
    """Print the temperatures and what to think of them.

    Args:
        fits (list[TemperatureFit]): A row each.
        groups (str): What the cross-validation kept together.
    """
    print(tabulate(fits))
    print(
        f'"After" is cross-validated over {groups}: each cell is scaled by a '
        'temperature that was fitted without it.'
    )
    for fit in fits:
        if fit.temperature is None:
            print(f'Stays uncalibrated: {fit.title} ({fit.reason}).')
    no_better = [fit.title for fit in fits if fit.nll_after > fit.nll_before]
    if no_better:
        print(
            f'Not better on cells held out: {", ".join(no_better)}. The '
            'scores were about right, or the cells are too few to say more.'
        )


def main() -> None:
    """Fit, print and store."""
    args = parse_args()
    register_all_modules()
    cfg, metric = read_config(args)
    try:
        checkpoint = load_whole_checkpoint(args.checkpoint)
        results = read_dumped_results(
            args.results, cfg[f'{args.split}_dataloader'].dataset
        )
        check_fit(checkpoint, args.checkpoint, results)
        check_held_out(results, image_paths(cfg.train_dataloader.dataset))
        matched = results.match(metric)
    except (ValueError, pickle.UnpicklingError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
    groups, kind = group_images(results)
    calibration, fits = fit_calibration(
        matched,
        results.schema,
        results.name,
        metric.score_thr,
        groups,
        args.prior_std,
    )
    report(fits, kind)
    if all(fit.temperature is None for fit in fits):
        raise SystemExit('Nothing could be calibrated; nothing is written.')
    out = args.checkpoint if args.in_place else args.out
    store_calibration(checkpoint, calibration, out, overwrite=args.in_place)
    print(f'Written: {out}')


if __name__ == '__main__':
    main()
