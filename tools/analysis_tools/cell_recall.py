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
from typing import List, Sequence, Tuple

import numpy as np
from dump_options import (
    add_dump_options,
    check_dump_options,
    read_config,
)
from mmdet.utils import register_all_modules

from mmleuk.config_files import config_path
from mmleuk.engine.dumped_results import read_dumped_results
from mmleuk.evaluation.functional import (
    CellRecall,
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
        '--config',
        type=config_path,
        required=True,
        help='config that the test ran with',
    )
    parser.add_argument(
        '--edge',
        type=float,
        default=0.01,
        help='greatest distance of a box at the edge from the edge, as a '
        "share of the field's shorter side; default: 0.01",
    )
    add_dump_options(parser, 'score from which a detection exists')
    args = parser.parse_args()
    check_dump_options(
        parser, args, ('results', 'config'), ('score_thr', 'edge')
    )
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
    cfg, metric = read_config(args)
    try:
        results = read_dumped_results(
            args.results, cfg[f'{args.split}_dataloader'].dataset
        )
        matched = results.match(metric)
    except (ValueError, pickle.UnpicklingError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
    print(
        f'{results.name}: {len(matched.images)} fields; detections of score '
        f'>= {metric.score_thr:g}, paired with cells at IoU >= '
        f'{metric.iou_thr:g} whatever type they name; in brackets 95 % '
        'intervals\n'
    )
    rows = count(
        recall_cells(matched, metric.score_thr, args.edge),
        matched.cell_labels,
        results.classes,
    )
    for row in (COLUMNS, ('---',) * len(COLUMNS), *rows):
        print('| ' + ' | '.join(row) + ' |')


if __name__ == '__main__':
    main()
