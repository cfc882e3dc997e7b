# Copyright (c) mmleuk authors. All rights reserved.
"""Convert annotations, and set up labelling tools.

labels: from any format to any other. setup: the labels and attributes of a
CVAT task or a Label Studio project. pbc-fields: fields of typed cells with
attributes from the public TXL-PBC and WBCAtt. See docs/converters.md.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

from make_pbc_fields import make_pbc_fields

from mmleuk.io import (
    SOURCE_FORMATS,
    TARGET_FORMATS,
    ReadSettings,
    convert,
    make_cvat_labels,
    make_label_studio_config,
)
from mmleuk.io.atomic_write import write_text
from mmleuk.io.readers import REGION_ORDERS
from mmleuk.io.readers.box_reader import REGION_LABEL, UNMARKED
from mmleuk.io.source_files import load_bounded_json
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.class_map import ClassMap
from mmleuk.structures.metainfo import CLASS_MAPS, LLD_CLASSES, make_schema

SETUPS = dict(cvat=make_cvat_labels, label_studio=make_label_studio_config)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    _add_labels(commands.add_parser('labels', help='convert annotations'))
    _add_setup(commands.add_parser('setup', help='set up a labelling tool'))
    _add_pbc_fields(
        commands.add_parser('pbc-fields', help='TXL-PBC + WBCAtt to fields')
    )
    return parser.parse_args()


def _add_names(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name classes, attributes and regions."""
    parser.add_argument(
        '--metainfo',
        metavar='JSON',
        help='{"classes": [...], "attributes": [...]}, a file or the JSON '
        "itself, as a dataset's metainfo (default: LLD's)",
    )
    parser.add_argument(
        '--region-label',
        default=REGION_LABEL,
        help='label of rectangles that are annotated regions (default: '
        '"%(default)s")',
    )


def _add_labels(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command ``labels``."""
    parser.add_argument('source', help='file or folder to read')
    parser.add_argument('target', help='file or folder to write')
    parser.add_argument(
        '--from',
        dest='source_format',
        choices=SOURCE_FORMATS,
        required=True,
        help='format of the source',
    )
    parser.add_argument(
        '--to',
        dest='target_format',
        choices=TARGET_FORMATS,
        required=True,
        help='format of the target',
    )
    parser.add_argument('--images', required=True, help='folder of the images')
    _add_names(parser)
    parser.add_argument(
        '--class-map',
        metavar='JSON',
        help='{"class": "class of the target" | "ignore" | null}, a file or '
        f'the JSON itself, or one of {", ".join(CLASS_MAPS)}',
    )
    parser.add_argument(
        '--attribute-map',
        metavar='JSON',
        help='{"attribute of the source": "ours" | {"to": "ours", "values": '
        '{"big": "large", "odd": null}} | null}, a file or the JSON itself',
    )
    parser.add_argument(
        '--allow-loss',
        action='store_true',
        help='leave out what the target can not hold, and count it',
    )
    reading = parser.add_argument_group('reading')
    reading.add_argument(
        '--unmarked',
        choices=UNMARKED,
        default='auto',
        help='how an image without an annotated region counts (cvat, '
        'label_studio, voc): whole, annotated in full; nothing, not '
        'annotated; auto, not annotated if some image has a region, else in '
        'full (default: %(default)s)',
    )
    reading.add_argument(
        '--region-order',
        choices=('auto', *REGION_ORDERS),
        default='auto',
        help='order of the rectangle in sparse text (default: %(default)s)',
    )
    reading.add_argument(
        '--names', help='class names of yolo: a list, or data.yaml'
    )
    reading.add_argument(
        '--voc-origin',
        type=int,
        choices=(0, 1),
        default=0,
        help='coordinate of the first pixel of voc: 1 in the files of the '
        'VOC challenge (default: %(default)s)',
    )
    reading.add_argument(
        '--image-key',
        default='image',
        help='key of the image in the data of label_studio (default: '
        '%(default)s)',
    )
    reading.add_argument(
        '--annotator', help='whose annotation to take of label_studio'
    )
    reading.add_argument(
        '--min-score',
        type=float,
        default=0.0,
        help='lowest score to keep of predictions (default: %(default)s)',
    )
    reading.add_argument(
        '--max-mib',
        type=int,
        default=100,
        help='largest file to read, in MiB (default: %(default)s)',
    )
    writing = parser.add_argument_group('writing')
    writing.add_argument(
        '--without-cell-size',
        action='store_true',
        help='11 columns of text, or 15 of sparse text',
    )
    writing.add_argument(
        '--write-region-order',
        choices=REGION_ORDERS,
        default='x1y1x2y2',
        help='order of the rectangle in sparse text (default: %(default)s)',
    )
    writing.add_argument(
        '--image-prefix',
        default='',
        help='what stands before image names in label_studio, such as '
        '"/data/local-files/?d=fields/"',
    )
    writing.add_argument(
        '--as-predictions',
        action='store_true',
        help='write predictions of label_studio, to be corrected',
    )


def _add_setup(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command ``setup``."""
    parser.add_argument('tool', choices=SETUPS, help='labelling tool')
    parser.add_argument('target', help='file to write')
    _add_names(parser)


def _add_pbc_fields(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command ``pbc-fields``."""
    parser.add_argument('txl_pbc', help='folder with images/ and labels/')
    parser.add_argument('target', help='folder to write')
    parser.add_argument(
        '--wbcatt', nargs='+', required=True, help='CSV files of WBCAtt'
    )
    parser.add_argument(
        '--splits',
        nargs='+',
        default=['train', 'val'],
        help='splits of TXL-PBC (default: train val)',
    )
    parser.add_argument(
        '--per-class',
        type=int,
        default=0,
        help='most cells of a type (default: as many as the rarest has)',
    )
    parser.add_argument('--seed', type=int, default=0)


def _load_json_argument(text: str) -> Any:
    """Load an argument that is JSON, or a file of it."""
    if text.lstrip().startswith('{'):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'got {text!r}, expected JSON: {error}') from None
    return load_bounded_json(text)


def _load_map(text: str, what: str) -> Dict[str, Any]:
    """Load an argument that is a JSON object, or a file of it."""
    value = _load_json_argument(text)
    if not isinstance(value, dict):
        raise ValueError(f'{what} is {text[:80]!r}, expected a JSON object')
    return value


def _load_names(
    args: argparse.Namespace,
) -> Tuple[Sequence[str], AttributeSchema, Any, Any]:
    """Load classes, attributes and the class map."""
    class_map = getattr(args, 'class_map', None)
    classes: Sequence[str] = LLD_CLASSES
    if class_map in CLASS_MAPS:
        classes = ClassMap(class_map).classes()
    elif class_map is not None:
        class_map = _load_map(class_map, '--class-map')
        try:
            ClassMap(class_map)
        except TypeError as error:
            raise ValueError(f'--class-map: {error}') from None
    metainfo: Dict[str, Any] = {}
    if args.metainfo is not None:
        metainfo = _load_map(args.metainfo, '--metainfo')
        classes = metainfo.get('classes', classes)
        if not (
            isinstance(classes, (list, tuple))
            and classes
            and all(isinstance(name, str) for name in classes)
        ):
            raise ValueError(
                f'--metainfo has the classes {classes!r}, expected a list of '
                'names'
            )
    try:
        schema = make_schema({'attributes': LLD_ATTRIBUTES, **metainfo})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'--metainfo has attributes that are no schema: {error}'
        ) from None
    return classes, schema, class_map, metainfo.get('text_columns')


def _convert_labels(args: argparse.Namespace) -> None:
    """Run the command ``labels``."""
    classes, schema, class_map, columns = _load_names(args)
    attribute_map = None
    if args.attribute_map is not None:
        attribute_map = _load_map(args.attribute_map, '--attribute-map')
    settings = ReadSettings(
        images=args.images,
        schema=schema,
        attribute_map=attribute_map,
        region_label=args.region_label,
        unmarked=args.unmarked,
        region_order=args.region_order,
        columns=columns,
        names_file=args.names,
        voc_origin=args.voc_origin,
        image_key=args.image_key,
        annotator=args.annotator,
        min_score=args.min_score,
        max_bytes=args.max_mib * 2**20,
    )
    options: Dict[str, Any] = {}
    if args.target_format in ('text', 'sparse_text'):
        options.update(cell_size=not args.without_cell_size)
    if args.target_format == 'sparse_text':
        options.update(region_order=args.write_region_order)
    if args.target_format in ('cvat', 'label_studio'):
        options.update(region_label=args.region_label)
    if args.target_format == 'label_studio':
        options.update(
            image_prefix=args.image_prefix,
            as_predictions=args.as_predictions,
        )
    report = convert(
        args.source,
        args.target,
        args.source_format,
        args.target_format,
        settings,
        classes=classes,
        class_map=class_map,
        allow_loss=args.allow_loss,
        **options,
    )
    print(f'{args.target}: {chr(10).join(report.lines())}')


def _write_setup(args: argparse.Namespace) -> None:
    """Run the command ``setup``."""
    classes, schema, *_ = _load_names(args)
    text = SETUPS[args.tool](schema, classes, args.region_label)
    write_text(Path(args.target), text)
    print(
        f'{args.target}: {len(classes)} classes, {len(schema)} attributes, '
        f'and the region label "{args.region_label}"'
    )


def _write_pbc_fields(args: argparse.Namespace) -> None:
    """Run the command ``pbc-fields``."""
    for split in args.splits:
        report, types = make_pbc_fields(
            args.txl_pbc,
            args.wbcatt,
            args.target,
            split,
            seed=args.seed,
            per_class=args.per_class,
        )
        listed = ', '.join(
            f'{number} {name}' for name, number in sorted(types.items())
        )
        print(f'{split}: {chr(10).join(report.lines())}\n  types: {listed}')


def main() -> None:
    """Run a command."""
    args = parse_args()
    commands = {
        'labels': _convert_labels,
        'setup': _write_setup,
        'pbc-fields': _write_pbc_fields,
    }
    try:
        commands[args.command](args)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
