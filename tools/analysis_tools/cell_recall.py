# Copyright (c) mmleuk authors. All rights reserved.
"""Count the cells that a detector finds: by type, inside or at the edge.

AP tells how good a detector is, not where it fails. This prints, of each
type's cells, the share that it finds, the share whose type it names, and the
mean IoU of those found::

    python tools/test.py CONFIG CHECKPOINT --out work_dirs/test.pkl
    python tools/analysis_tools/cell_recall.py work_dirs/test.pkl \
        --config CONFIG
"""

import argparse
import pickle
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
from mmdet.utils import register_all_modules
from mmengine.config import Config, DictAction

from mmleuk.engine.dumped_results import find_lld_metric, read_dumped_results
from mmleuk.evaluation.functional import (
    CellRecall,
    judge_results,
    recall_cells,
    wilson_interval,
)

COLUMNS = ('type', 'place', 'cells', 'found', 'type named', 'mean IoU')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', help='pickle from tools/test.py --out')
    parser.add_argument(
        '--config', required=True, help='config that the test ran with'
    )
    parser.add_argument(
        '--split',
        choices=['test', 'val'],
        default='test',
        help='whose dataloader the results are of; tools/test.py takes that '
        'of the test (default)',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        help='score from which a detection exists; default: that of the '
        'LLDMetric in the config',
    )
    parser.add_argument(
        '--edge',
        type=float,
        default=0.01,
        help='greatest distance of a box at the edge from the edge, as a '
        "share of the field's shorter side; default: 0.01",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that the test replaced in the config',
    )
    args = parser.parse_args()
    for name in ('results', 'config'):
        if not Path(getattr(args, name)).is_file():
            parser.error(f'there is no {name} {getattr(args, name)}')
    for option, value in (
        ('--score-thr', args.score_thr),
        ('--edge', args.edge),
    ):
        if value is not None and not 0 <= value <= 1:
            parser.error(f'{option} is {value}, expected a number in [0, 1]')
    return args


def share(flags: np.ndarray) -> str:
    """Write a share with its 95 % interval.

    Args:
        flags (np.ndarray): Bool, shape (n, ).

    Returns:
        str: For people.
    """
    low, high = wilson_interval(int(flags.sum()), len(flags))
    return f'{flags.mean():.1%} ({low:.1%} to {high:.1%})'


def count(
    cells: CellRecall, labels: np.ndarray, classes: Sequence[str]
) -> List[Tuple[str, ...]]:
    """Count the cells of each type and place.

    Args:
        cells (CellRecall): What became of each.
        labels (np.ndarray): Their types, shape (m, ).
        classes (Sequence[str]): Names of the types.

    Returns:
        list[tuple[str]]: Rows of the table, without those of no cell.
    """
    everything = np.ones(len(labels), dtype=bool)
    types = [('all', everything)]
    types += [(name, labels == index) for index, name in enumerate(classes)]
    places = (
        ('all', everything),
        ('inside', ~cells.at_edge),
        ('at the edge', cells.at_edge),
    )
    rows = []
    for type_name, of_type in types:
        for place_name, at_place in places:
            chosen = of_type & at_place
            if not chosen.any():
                continue
            ious = cells.ious[chosen & cells.found]
            rows.append(
                (
                    type_name,
                    place_name,
                    str(chosen.sum()),
                    share(cells.found[chosen]),
                    share(cells.named[chosen]),
                    f'{ious.mean():.3f}' if len(ious) else '–',
                )
            )
    return rows


def main() -> None:
    """Print the table."""
    args = parse_args()
    register_all_modules()
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    metric = find_lld_metric(cfg, f'{args.split}_evaluator')
    score_thr = metric.score_thr if args.score_thr is None else args.score_thr
    try:
        results = read_dumped_results(
            args.results, cfg[f'{args.split}_dataloader'].dataset
        )
        judged = judge_results(
            results.images,
            len(results.classes),
            results.schema,
            metric.iou_thr,
            metric.ignore_iof_thr,
        )
    except (ValueError, pickle.UnpicklingError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
    print(
        f'{results.name}: {len(judged.images)} fields; detections of score >= '
        f'{score_thr:g}, paired with cells at IoU >= {metric.iou_thr:g} '
        f'whatever type they name; in brackets 95 % intervals\n'
    )
    rows = count(
        recall_cells(judged, score_thr, args.edge),
        judged.cell_labels,
        results.classes,
    )
    for row in (COLUMNS, ('---',) * len(COLUMNS), *rows):
        print('| ' + ' | '.join(row) + ' |')


if __name__ == '__main__':
    main()
