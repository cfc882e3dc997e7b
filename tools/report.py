# Copyright (c) mmleuk authors. All rights reserved.
"""Write a report for each patient from predictions.

One HTML page a patient that opens without a network and prints on A4, a table
of its cells as CSV, and an index of the patients. Research output, not a
diagnosis.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from mmleuk.io.predictions import PredictionReader
from mmleuk.reports import (
    BLAST_TYPES,
    PatientEntry,
    ReportSettings,
    load_reference,
    write_reports,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    default = ReportSettings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'results',
        metavar='RESULTS',
        help='predictions.json of LLDInferencer or tools/image_demo.py',
    )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder to write to'
    )
    parser.add_argument(
        '--images',
        metavar='DIR',
        help='folder of the images (default: the one in the predictions)',
    )
    parser.add_argument(
        '--reference',
        metavar='FILE',
        help='compare attributes with these: predictions.json of reference '
        'patients, or a type profile as JSON (default: the training data, '
        'where the predictions have their profile)',
    )
    parser.add_argument(
        '--patient-from-folder',
        action='store_true',
        help='take the folder of an image for its patient',
    )
    parser.add_argument(
        '--magnification',
        help='only use images of this magnification, such as 100x',
    )
    parser.add_argument(
        '--blast-types',
        nargs='+',
        metavar='TYPE',
        help='types counted as blasts (default: those of '
        f'{", ".join(BLAST_TYPES)} that the model knows)',
    )
    parser.add_argument(
        '--blast-mark',
        type=float,
        default=default.blast_mark,
        help='share against which that of blasts is held '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--same-cell-iou',
        type=float,
        default=default.same_cell_iou,
        help='boxes that overlap by this IoU are one cell, named by the '
        'one of the highest confidence; above 1 each box counts '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--level',
        type=float,
        default=default.level,
        help='level of the intervals (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=default.seed,
        help='seed of the bootstrap (default: %(default)s)',
    )
    parser.add_argument(
        '--min-focus',
        type=float,
        help='call fields of lower focus less sharp (default: only those far '
        "below the patient's others)",
    )
    parser.add_argument(
        '--max-pictures',
        type=int,
        default=default.max_pictures,
        help='most fields shown (default: %(default)s)',
    )
    parser.add_argument(
        '--picture-size',
        type=int,
        default=default.picture_size,
        help='longer side of a field in pixels (default: %(default)s)',
    )
    parser.add_argument(
        '--max-gallery',
        type=int,
        default=default.max_gallery,
        help='most cells of a type in a row of the gallery '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--max-cells',
        type=int,
        default=default.max_cells,
        help='most cells in the table of a page; the CSV file has all '
        '(default: %(default)s)',
    )
    return parser.parse_args()


def make_settings(args: argparse.Namespace) -> ReportSettings:
    """Take the settings from the command line.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        ReportSettings: The settings.

    Raises:
        ValueError: If a number makes no sense.
    """
    names = {item.name for item in fields(ReportSettings)}
    settings = {k: v for k, v in vars(args).items() if k in names}
    if args.blast_types:
        settings['blast_types'] = tuple(args.blast_types)
    return ReportSettings(**settings)


def print_entry(entry: PatientEntry) -> None:
    """Print the files of a patient.

    Args:
        entry (PatientEntry): Entry of the patient in the index.
    """
    # Not every terminal can show every name.
    name = (entry.patient or 'no patient named').encode(
        sys.stdout.encoding or 'utf-8', 'backslashreplace'
    )
    print(
        f'{name.decode(sys.stdout.encoding or "utf-8")}: '
        f'{entry.num_fields} fields, {entry.num_cells} cells '
        f'-> {entry.page}',
        flush=True,
    )


def main() -> None:
    """Write the reports."""
    args = parse_args()
    try:
        if args.images is not None and not Path(args.images).is_dir():
            raise FileNotFoundError(
                f'{args.images}: --images is no folder that is there'
            )
        entries = write_reports(
            PredictionReader(args.results),
            args.out,
            make_settings(args),
            image_root=args.images,
            reference=load_reference(args.reference)
            if args.reference
            else None,
            on_patient=print_entry,
        )
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {error}')
    print(f'{Path(args.out) / "index.html"}: {len(entries)} patients')


if __name__ == '__main__':
    main()
