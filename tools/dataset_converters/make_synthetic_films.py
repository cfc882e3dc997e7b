# Copyright (c) mmleuk authors. All rights reserved.
"""Draw synthetic blood films in the layout of the Large Leukemia Dataset.

For the demo, the tests and the documentation. Scores on drawn films say
nothing about real blood.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from mmleuk.datasets.naming import LLD_SUBSETS
from mmleuk.datasets.synthetic import PRESETS, FilmPlan, write_films
from mmleuk.io.readers import REGION_ORDERS


def parse_args() -> argparse.Namespace:
    """Read the command line; arguments left out are None."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Other arguments replace settings of the preset. Films that '
        'were drawn with the same settings are kept.',
    )
    parser.add_argument(
        '--out',
        default='data/synthetic_films',
        help='folder of the subsets (default: %(default)s)',
    )
    parser.add_argument(
        '--preset',
        choices=sorted(PRESETS),
        default='demo',
        help='demo: one subset of 60 + 20 fields; sparse: a 40x subset '
        'annotated in rectangles; sparse40x: the same, 60 + 20 small fields, '
        'for the benchmark of sparse labels; docs: a few fields of all '
        'twelve subsets, squeezed as in the release; tests: very few, very '
        'small fields (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, help='same seed, same films')
    parser.add_argument(
        '--subsets',
        nargs='+',
        metavar='SUBSET',
        help=f'some of {", ".join(LLD_SUBSETS)}',
    )
    for split in ('train', 'test'):
        parser.add_argument(
            f'--{split}-fields', type=int, help=f'{split} fields per subset'
        )
        parser.add_argument(
            f'--{split}-patients', type=int, help=f'{split} patients'
        )
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('WIDTH', 'HEIGHT'),
        help='size of the images in pixels',
    )
    parser.add_argument(
        '--cells', type=float, help='mean number of white cells per field'
    )
    parser.add_argument(
        '--squeeze',
        type=float,
        help='width of a round cell over its height; 0.6 as in the release',
    )
    parser.add_argument(
        '--sparse',
        action=argparse.BooleanOptionalAction,
        help='also write sparse labels: json_labels/train_sparse.json',
    )
    parser.add_argument(
        '--region-share',
        type=float,
        help='share of a field in the rectangle of its sparse labels',
    )
    parser.add_argument(
        '--text',
        action=argparse.BooleanOptionalAction,
        help='also write text labels: txt_labels',
    )
    parser.add_argument(
        '--region-order',
        choices=sorted(REGION_ORDERS),
        help='order of the rectangle in sparse text labels',
    )
    parser.add_argument(
        '--missing',
        type=float,
        help='probability that an attribute is missing',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace synthetic films of other settings',
    )
    return parser.parse_args()


def make_plan(args: argparse.Namespace) -> FilmPlan:
    """Replace settings of the preset by those of the command line."""
    own = ('out', 'preset', 'overwrite')
    given = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in vars(args).items()
        if key not in own and value is not None
    }
    return replace(PRESETS[args.preset], **given)


def main() -> None:
    """Draw the films and print their numbers."""
    args = parse_args()
    start = time.perf_counter()
    try:
        plan = make_plan(args)
        counts = write_films(args.out, plan, args.overwrite)
    except (ValueError, FileExistsError) as error:
        sys.exit(f'error: {error}')
    for subset in plan.subsets:
        folder = Path(args.out) / subset
        if subset not in counts:
            print(f'{folder}: already there')
            continue
        splits = ', '.join(
            f'{counts[subset][f"{split}_images"]} {split} fields with '
            f'{counts[subset][f"{split}_cells"]} cells'
            for split in ('train', 'test')
        )
        print(f'{folder}: {splits}')
    print(f'{time.perf_counter() - start:.1f} s')


if __name__ == '__main__':
    main()
