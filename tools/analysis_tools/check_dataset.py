# Copyright (c) mmleuk authors. All rights reserved.
"""Check data before a training: what is in it, and every fault it has.

Reads datasets exactly as a training does. Prints what they hold, each kind of
fault with its places and what becomes of it, and which patients or images are
in two splits::

    python tools/analysis_tools/check_dataset.py CONFIG
    python tools/analysis_tools/check_dataset.py --root data/lld
    python tools/analysis_tools/check_dataset.py \
        --ann mine/train.json mine/test.json --images mine/images

The exit status is 0 if no fault was found, 1 if faults were found but the
rest can be used, 2 if data is refused or the arguments are wrong.
"""

import argparse
import json
import os.path as osp
import sys
from typing import List, Optional, Sequence

import mmcv
from mmdet.utils import register_all_modules
from mmengine import fileio
from mmengine.config import Config, DictAction

from mmleuk.config_files import config_path
from mmleuk.datasets.checks import (
    DataReport,
    Source,
    examine,
    find_sources,
    load_image,
    quiet_log,
)
from mmleuk.datasets.naming import LLD_SUBSETS, normalise_subset
from mmleuk.io.readers import READERS
from mmleuk.visualization.check_pictures import draw_moved_boxes, draw_overlap
from mmleuk.visualization.picture_names import PictureNames, common_folder


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='Exit status: 0 no fault, 1 faults beside usable data, 2 data '
        'refused or wrong arguments.',
    )
    parser.add_argument(
        'config',
        type=config_path,
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
        '--pictures',
        metavar='DIR',
        help='draw fields whose boxes are misplaced, and pairs of fields '
        'that overlap, into this folder',
    )
    parser.add_argument(
        '--json', action='store_true', help='print the report as JSON'
    )
    args = parser.parse_args()
    ways = (args.config, args.root, args.ann)
    if sum(way is not None for way in ways) != 1:
        parser.error('expected one of: a config, --root, --ann with --images')
    if args.pictures and args.no_images:
        parser.error('--pictures needs the images: leave out --no-images')
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
    """Make each annotation file a split, named after the file.

    Args:
        annotations (Sequence[str]): Files, or folders of label files.
        images (Sequence[str]): Their image folders, or one for all.
        options (dict): Further arguments of the datasets.

    Returns:
        list[Source]: The splits.
    """
    if len(images) == 1:
        images = list(images) * len(annotations)
    names = [
        osp.splitext(osp.basename(osp.normpath(p)))[0] for p in annotations
    ]
    if len(set(names)) < len(names):
        names = list(annotations)
    # A file that is named twice is two splits all the same.
    names = [
        f'{name} ({index + 1})' if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]
    return [
        Source(
            name, dict(ann_file=path, data_prefix=dict(img=folder), **options)
        )
        for name, path, folder in zip(names, annotations, images)
    ]


def sources_of_root(
    root: str, subsets: Optional[Sequence[str]], options: dict
) -> List[Source]:
    """Make a source of train and test of each subset.

    Args:
        root (str): The folder of the subsets.
        subsets (Sequence[str], optional): Those to take; if None, all folders
            with a name of LLD's subsets.
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
            split, dict(data_root=root, subset=subset, split=split, **options)
        )
        for subset in subsets
        for split in ('train', 'test')
    ]


def find_datasets(args: argparse.Namespace) -> List[Source]:
    """Find the datasets that the command line names."""
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


def draw_pictures(report: DataReport, folder: str) -> None:
    """Draw the images that the report names.

    Args:
        report (DataReport): What was found.
        folder (str): Where the pictures are put, under ``misplaced`` and
            ``overlaps``.
    """
    paths = [*report.misplaced]
    for pair in report.overlaps:
        paths += pair.one, pair.two
    names = PictureNames(common_folder(paths))
    for path, move in report.misplaced.items():
        picture = draw_moved_boxes(load_image(path), move.bboxes, move.shift)
        mmcv.imwrite(picture, names.file(osp.join(folder, 'misplaced'), path))
    for pair in report.overlaps:
        images = load_image(pair.one), load_image(pair.two)
        stem, _ = osp.splitext(names.key(pair.one))
        path = osp.join(folder, 'overlaps', f'{stem}~{names.key(pair.two)}')
        mmcv.imwrite(draw_overlap(*images, pair.shift), path)


def main() -> int:
    """Check, print, and return the exit status."""
    args = parse_args()
    # Names of files may hold what the terminal can't show.
    sys.stdout.reconfigure(errors='backslashreplace')
    register_all_modules()
    try:
        sources = find_datasets(args)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    with quiet_log():
        report = examine(sources, not args.no_images, args.workers)
    if args.pictures:
        draw_pictures(report, args.pictures)
    if args.json:
        print(json.dumps(report.to_dict(), indent=1))
    else:
        print(report.to_text())
    return report.status


if __name__ == '__main__':
    sys.exit(main())
