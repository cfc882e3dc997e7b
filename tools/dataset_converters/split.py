# Copyright (c) mmleuk authors. All rights reserved.
"""Split JSON labels by patient, each class with its share of every part.

No patient is in two parts. Writes one file a part and parts.json, which lists
the patients of each part, for `patients` of other subsets' datasets:

    split.py all.json out --shares train=0.7 val=0.15 test=0.15
    split.py all.json out --folds 5 --test 0.2
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from terminaltables import AsciiTable

from mmleuk.datasets.splitting import (
    Group,
    group_by_patient,
    imbalance,
    split_groups,
    tabulate_counts,
    take_part,
)
from mmleuk.io.label_file import LabelFile
from mmleuk.io.readers.lld_json import load_json
from mmleuk.io.writers.json_writers import write_json
from mmleuk.structures import LLD_SCHEMA, AttributeSchema
from mmleuk.structures.metainfo import make_schema

TEST = 'test'


def named_share(text: str) -> Tuple[str, float]:
    """Read ``NAME=SHARE``.

    Args:
        text (str): The argument.

    Returns:
        tuple[str, float]: Name and share.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    name, _, share = text.partition('=')
    try:
        if not name.replace('_', '').replace('-', '').isalnum():
            raise ValueError
        return name, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'got {text!r}, expected NAME=SHARE, such as train=0.7'
        ) from None


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('labels', metavar='IN.json', help='labels to split')
    parser.add_argument('out', help='folder to write')
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        '--shares',
        nargs='+',
        type=named_share,
        metavar='NAME=SHARE',
        help='parts and their shares, which add up to 1',
    )
    how.add_argument(
        '--folds', type=int, help='number of folds of one size, 2 or more'
    )
    parser.add_argument(
        '--test',
        type=float,
        help='with --folds: share to put aside first, as test.json',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='same seed, same split (default: %(default)s)',
    )
    parser.add_argument(
        '--without-attributes',
        action='store_true',
        help='balance classes and images alone',
    )
    parser.add_argument(
        '--metainfo',
        metavar='FILE',
        help='JSON file with the "attributes" to balance (default: LLD\'s)',
    )
    parser.add_argument(
        '--patients',
        metavar='CSV',
        help='table with the columns file_name and patient (default: the '
        'patients that the file names state)',
    )
    parser.add_argument(
        '--require-patients',
        action='store_true',
        help='refuse images without a patient; else each is a patient',
    )
    return parser.parse_args()


def read_patients(path: str) -> Dict[str, str]:
    """Read a table of patients.

    Args:
        path (str): CSV file with the columns ``file_name`` and ``patient``.

    Returns:
        dict[str, str]: Patient by file name.

    Raises:
        ValueError: If a column or a patient is absent, or an image has two.
    """
    patients: Dict[str, str] = {}
    with open(path, encoding='utf-8-sig', newline='') as table:
        rows = csv.DictReader(table, strict=True)
        if not {'file_name', 'patient'} <= set(rows.fieldnames or ()):
            raise ValueError(
                f'{path}: got the columns {rows.fieldnames}, expected '
                'file_name and patient'
            )
        for number, row in enumerate(rows, 2):
            name, patient = row['file_name'], (row['patient'] or '').strip()
            if not patient or patients.setdefault(name, patient) != patient:
                raise ValueError(
                    f'{path}, row {number}: {name} has the patient '
                    f'{patient!r}, expected one patient an image'
                )
    return patients


def load_schema(args: argparse.Namespace) -> Optional[AttributeSchema]:
    """Choose the attributes to balance.

    Args:
        args (Namespace): The arguments.

    Returns:
        AttributeSchema | None: The attributes, None for none.

    Raises:
        ValueError: If the file states no attributes.
    """
    if args.without_attributes:
        return None
    if args.metainfo is None:
        return LLD_SCHEMA
    try:
        metainfo = json.loads(Path(args.metainfo).read_text(encoding='utf-8'))
        return make_schema(metainfo)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{args.metainfo}: no attributes of a metainfo: {error!r}'
        ) from None


def choose_parts(
    groups: Sequence[Group], args: argparse.Namespace
) -> Dict[str, List[Group]]:
    """Split the groups as the arguments say.

    Args:
        groups (Sequence[Group]): The groups.
        args (Namespace): The arguments.

    Returns:
        dict[str, list[Group]]: Groups by part; folds are ``fold_0``, ...

    Raises:
        ValueError: If the arguments ask for no split.
    """
    if args.shares:
        names, shares = zip(*args.shares)
        if args.test is not None or len(set(names)) < len(names):
            raise ValueError(
                f'got the parts {list(names)} and --test {args.test}, '
                'expected --shares with parts of different names alone'
            )
        return assign(groups, names, shares, args.seed)
    if args.folds < 2 or not (args.test is None or 0 < args.test < 1):
        raise ValueError(
            f'got {args.folds} folds and --test {args.test}, expected two or '
            'more folds and a share between 0 and 1'
        )
    parts: Dict[str, List[Group]] = {}
    if args.test is not None:
        parts = assign(
            groups, ('rest', TEST), (1 - args.test, args.test), args.seed
        )
        groups = parts.pop('rest')
    names = [f'fold_{number}' for number in range(args.folds)]
    shares = [1 / args.folds] * args.folds
    return {**assign(groups, names, shares, args.seed), **parts}


def assign(
    groups: Sequence[Group],
    names: Sequence[str],
    shares: Sequence[float],
    seed: int,
) -> Dict[str, List[Group]]:
    """Split groups into named parts.

    Args:
        groups (Sequence[Group]): The groups.
        names (Sequence[str]): Names of the parts.
        shares (Sequence[float]): Their shares.
        seed (int): The seed.

    Returns:
        dict[str, list[Group]]: Groups by part.
    """
    parts: Dict[str, List[Group]] = {name: [] for name in names}
    for group, part in zip(groups, split_groups(groups, shares, seed)):
        parts[names[part]].append(group)
    return parts


def make_table(parts: Dict[str, List[Group]]) -> str:
    """Tabulate what is in each part.

    Args:
        parts (dict[str, list[Group]]): Groups by part.

    Returns:
        str: Counts by part, and their share of the whole in percent.
    """
    things = sorted(
        {
            thing
            for groups in parts.values()
            for group in groups
            for thing in group.counts
        },
        key=lambda thing: (
            thing != 'images',
            not thing.startswith('class '),
            thing,
        ),
    )
    rows = [['', *parts, 'all']]

    def add(title: str, numbers: Sequence[int]) -> None:
        whole = sum(numbers)
        rows.append(
            [
                title,
                *(f'{n} ({n / whole:.0%})' for n in numbers),
                str(whole),
            ]
        )

    add('patients', [len(groups) for groups in parts.values()])
    for thing in things:
        add(
            thing.removeprefix('class '),
            [
                sum(group.counts.get(thing, 0) for group in groups)
                for groups in parts.values()
            ],
        )
    table = AsciiTable(rows)
    for column in range(1, len(rows[0])):
        table.justify_columns[column] = 'right'
    return table.table


def list_absent(parts: Dict[str, List[Group]]) -> List[str]:
    """Name the classes that a part lacks.

    Args:
        parts (dict[str, list[Group]]): Groups by part.

    Returns:
        list[str]: One sentence a class and part.
    """
    where: Dict[str, set] = {}
    patients: Dict[str, int] = {}
    for name, groups in parts.items():
        for group in groups:
            for thing in group.counts:
                if thing.startswith('class '):
                    where.setdefault(thing, set()).add(name)
                    patients[thing] = patients.get(thing, 0) + 1
    return [
        f'{thing.removeprefix("class ")} is not in {name}: {patients[thing]} '
        'patients have it'
        for thing in sorted(where)
        for name in parts
        if name not in where[thing]
    ]


def measure(parts: Dict[str, List[Group]], shares: Sequence[float]) -> float:
    """Measure the imbalance of a split.

    Args:
        parts (dict[str, list[Group]]): Groups by part.
        shares (Sequence[float]): Wanted shares.

    Returns:
        float: See :func:`mmleuk.datasets.splitting.imbalance`.
    """
    groups = [group for part in parts.values() for group in part]
    indices = np.repeat(
        np.arange(len(parts)), [len(part) for part in parts.values()]
    )
    return imbalance(tabulate_counts(groups), indices, np.array(shares))


def write(
    dataset: dict,
    parts: Dict[str, List[Group]],
    args: argparse.Namespace,
    score: float,
) -> None:
    """Write one file a part, or two a fold, and parts.json.

    Args:
        dataset (dict): All labels.
        parts (dict[str, list[Group]]): Groups by part.
        args (Namespace): The arguments.
        score (float): Imbalance of the split.

    Raises:
        FileExistsError: If a file is there already.
    """
    files = {
        name: [file for group in groups for file in group.files]
        for name, groups in parts.items()
    }
    out = Path(args.out)
    contents: Dict[Path, object] = {}
    folds = [name for name in parts if args.folds and name != TEST]
    for name in parts:
        if name not in folds:
            contents[out / f'{name}.json'] = take_part(dataset, files[name])
    for name in folds:
        others = [files[fold] for fold in folds if fold != name]
        train = [file for own in others for file in own]
        contents[out / name / 'train.json'] = take_part(dataset, train)
        contents[out / name / 'val.json'] = take_part(dataset, files[name])
    contents[out / 'parts.json'] = dict(
        seed=args.seed,
        imbalance=score,
        parts={
            name: dict(
                patients=[group.name for group in groups if group.known],
                images=files[name],
            )
            for name, groups in parts.items()
        },
    )
    for path in contents:
        if path.exists():
            raise FileExistsError(
                f'{path} is there already, expected a new folder'
            )
    for path, content in contents.items():
        write_json(path, content)


def check_patients(groups: Sequence[Group], required: bool) -> None:
    """Warn of images without a patient, or refuse them.

    Args:
        groups (Sequence[Group]): The groups.
        required (bool): Whether to refuse them.

    Raises:
        ValueError: If there are some and they are refused.
    """
    nameless = [group.name for group in groups if not group.known]
    if not nameless:
        return
    text = (
        f'{len(nameless)} images state no patient in their names, such as '
        f'{nameless[0]} (expected e.g. "4_15_1000_ALL.png")'
    )
    if required:
        raise ValueError(f'{text}. Name their patients by --patients')
    print(
        f'warning: {text}: each counts as a patient of its own, so one '
        'patient may be in several parts',
        file=sys.stderr,
    )


def main() -> None:
    """Split, write and tabulate."""
    args = parse_args()
    try:
        dataset = load_json(args.labels)
        patients = read_patients(args.patients) if args.patients else None
        groups = group_by_patient(dataset, load_schema(args), patients)
        check_patients(groups, args.require_patients)
        parts = choose_parts(groups, args)
        folds = args.folds or 0
        shares = (
            [share for _, share in args.shares]
            if args.shares
            else [(1 - (args.test or 0)) / folds] * folds
            + [args.test] * (args.test is not None)
        )
        score = measure(parts, shares)
        write(dataset, parts, args, score)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {args.labels}: {error}')
    print(make_table(parts))
    for sentence in list_absent(parts):
        print(f'note: {sentence}')
    lost = len(LabelFile(dataset, boxes=False).others)
    if lost:
        print(f'note: {lost} annotations of images not listed left out')
    print(f'{args.out}: imbalance {score:.4f} (0 is perfect)')


if __name__ == '__main__':
    main()
