# Copyright (c) mmleuk authors. All rights reserved.
"""Check data before a training: what is in it, and every fault it has.

Reads datasets exactly as a training does. It prints what they hold, each kind
of fault with what becomes of it and where it is, and which patients or images
are in two splits::

    python tools/analysis_tools/check_dataset.py CONFIG
    python tools/analysis_tools/check_dataset.py --root data/lld
    python tools/analysis_tools/check_dataset.py \
        --ann mine/train.json mine/test.json --images mine/images

The exit status is 0 if no fault was found, 1 if faults were found but the
rest can be used, 2 if data is refused or the arguments are wrong.
``--self-test`` puts every known fault into good data and shows what becomes of
it.
"""

import argparse
import json
import os.path as osp
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Dict, List, Sequence

from mmdet.utils import register_all_modules
from mmengine import fileio
from mmengine.config import Config, DictAction
from terminaltables import AsciiTable

from mmleuk.datasets.checks import (
    Source,
    TrialResult,
    examine,
    find_sources,
    quiet_log,
    run_trials,
)
from mmleuk.datasets.naming import LLD_SUBSETS, normalise_subset
from mmleuk.io.faults import FAULTS
from mmleuk.io.readers import READERS

SPLITS = ('train', 'test')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='Exit status: 0 no fault, 1 faults beside usable data, 2 data '
        'refused or wrong arguments.',
    )
    parser.add_argument(
        'config',
        nargs='?',
        help='config whose train, val and test datasets to check',
    )
    parser.add_argument(
        '--root', help="folder with LLD's subsets, of which all are checked"
    )
    parser.add_argument(
        '--subset', nargs='+', help='only these subsets of --root'
    )
    parser.add_argument(
        '--ann',
        nargs='+',
        metavar='PATH',
        help='annotation files, or folders of label files; each counts as a '
        'split of its own, named after it',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='DIR',
        help='image folder of each --ann, or one for all',
    )
    parser.add_argument(
        '--ann-format',
        choices=['auto', *READERS],
        default='auto',
        help='format of --ann or --root (default: auto)',
    )
    parser.add_argument(
        '--region-order',
        default='auto',
        help='order of the corners in sparse text (default: auto)',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help="class names of --ann, where they are not LLD's",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings to replace in the config',
    )
    parser.add_argument(
        '--no-images',
        action='store_true',
        help='do not decode and compare the images; their headers are read '
        'all the same',
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='processes that decode images (default: one a core)',
    )
    parser.add_argument(
        '--json', action='store_true', help='print the report as JSON'
    )
    parser.add_argument(
        '--self-test',
        action='store_true',
        help='try all known faults on good data, and nothing else',
    )
    args = parser.parse_args()
    ways = (args.config, args.root, args.ann, args.self_test or None)
    if sum(way is not None for way in ways) != 1:
        parser.error(
            'expected one of: a config, --root, --ann with --images, '
            '--self-test'
        )
    if args.ann:
        if args.images is None:
            parser.error('--ann needs --images')
        if len(args.images) not in (1, len(args.ann)):
            parser.error(
                f'got {len(args.images)} --images for {len(args.ann)} --ann, '
                'expected one, or one for each'
            )
    return args


def sources_of_paths(
    annotations: Sequence[str], images: Sequence[str], options: dict
) -> List[Source]:
    """Make a source of each annotation file.

    Args:
        annotations (Sequence[str]): Files, or folders of label files.
        images (Sequence[str]): Their image folders, or one for all.
        options (dict): Further arguments of the datasets.

    Returns:
        list[Source]: Each is a split, named after its file.
    """
    if len(images) == 1:
        images = list(images) * len(annotations)
    names = [
        osp.splitext(osp.basename(osp.normpath(p)))[0] for p in annotations
    ]
    if len(set(names)) < len(names):
        names = list(annotations)
    return [
        Source(
            name,
            dict(ann_file=path, data_prefix=dict(img=folder), **options),
        )
        for name, path, folder in zip(names, annotations, images)
    ]


def sources_of_root(
    root: str, subsets: Sequence[str], options: dict
) -> List[Source]:
    """Make a source of each split of each subset.

    Args:
        root (str): The folder of the subsets.
        subsets (Sequence[str] | None): Those to take, None for all of LLD's
            names that are there.
        options (dict): Further arguments of the datasets.

    Returns:
        list[Source]: Train and test of each subset.

    Raises:
        FileNotFoundError: If there is no subset.
    """
    if not subsets:
        folders = []
        if fileio.isdir(root):
            folders = fileio.list_dir_or_file(root, list_file=False)
        subsets = sorted(
            name for name in folders if normalise_subset(name) in LLD_SUBSETS
        )
    if not subsets:
        raise FileNotFoundError(
            f'{root}: no folder has the name of a subset, such as '
            f'{LLD_SUBSETS[0]}. Set --root to the folder that holds them, or '
            'name them by --subset.'
        )
    return [
        Source(
            split,
            dict(data_root=root, subset=subset, split=split, **options),
        )
        for subset in subsets
        for split in SPLITS
    ]


def trial_table(results: Sequence[TrialResult]) -> str:
    """Sum up trials by kind of fault.

    Args:
        results (Sequence[TrialResult]): The trials.

    Returns:
        str: A table, the problems found, and a line with the sums.
    """
    tried: Dict[str, Counter] = {kind: Counter() for kind in FAULTS}
    for result in results:
        # Some kinds only ever follow from another one.
        for fault in (result.trial.fault, *result.trial.also):
            tried[fault.text]['tried'] += 1
            tried[fault.text]['passed'] += not result.problem
    rows = [['outcome', 'kind of fault', 'tried', 'passed']]
    rows += [
        [FAULTS[kind].outcome.value, kind, counts['tried'], counts['passed']]
        for kind, counts in tried.items()
    ]
    table = AsciiTable(rows)
    table.justify_columns.update({2: 'right', 3: 'right'})
    lines = [table.table]
    lines += [
        f'FAILED: {result.trial.name}: {result.problem}'
        for result in results
        if result.problem
    ]
    passed = sum(not result.problem for result in results)
    caught = sum(
        counts['tried'] == counts['passed'] > 0 for counts in tried.values()
    )
    lines.append(
        f'{len(tried)} kinds of faults, {caught} caught in every trial; '
        f'{passed} of {len(results)} trials passed: the fault counted under '
        'its kind, every good cell beside it kept, read = kept + '
        'removed, and strict=True raised.'
    )
    return '\n'.join(lines)


def self_test(as_json: bool) -> int:
    """Try all faults and print what came of them.

    Args:
        as_json (bool): Whether to print JSON.

    Returns:
        int: The exit status: 0 if all trials passed, else 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = run_trials(Path(folder))
    if as_json:
        content = [
            dict(
                trial=result.trial.name,
                kind=result.trial.fault.text,
                outcome=result.trial.fault.outcome.value,
                problem=result.problem,
            )
            for result in results
        ]
        print(json.dumps(content, indent=1))
    else:
        print(trial_table(results))
    return int(any(result.problem for result in results))


def find_datasets(args: argparse.Namespace) -> List[Source]:
    """Find what the command line names.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        list[Source]: The datasets.
    """
    if args.config:
        cfg = Config.fromfile(args.config)
        if args.cfg_options:
            cfg.merge_from_dict(args.cfg_options)
        return find_sources(cfg)
    options = dict(ann_format=args.ann_format, region_order=args.region_order)
    if args.classes:
        options['metainfo'] = dict(classes=tuple(args.classes))
    if args.root:
        return sources_of_root(args.root, args.subset, options)
    return sources_of_paths(args.ann, args.images, options)


def main() -> int:
    """Check and print.

    Returns:
        int: The exit status.
    """
    args = parse_args()
    # Names of files may hold what the terminal can't show.
    sys.stdout.reconfigure(errors='backslashreplace')
    register_all_modules()
    if args.self_test:
        return self_test(args.json)
    try:
        sources = find_datasets(args)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    with quiet_log():
        report = examine(sources, not args.no_images, args.workers)
    if args.json:
        print(json.dumps(report.to_dict(), indent=1))
    else:
        print(report.to_text())
    return report.status


if __name__ == '__main__':
    sys.exit(main())
