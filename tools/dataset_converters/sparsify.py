# Copyright (c) mmleuk authors. All rights reserved.
"""Cut full JSON labels down to a few rectangles an image.

Shows what sparse annotation costs: the same fields, annotated inside a share
of their area. Rectangles of smaller shares lie inside those of larger ones, so
that shares can be compared.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, Sequence, Tuple

from mmleuk.datasets.naming import normalise_patient
from mmleuk.datasets.sparsify import PLACEMENTS, sparsify
from mmleuk.io.label_file import LabelFile
from mmleuk.io.readers.lld_json import load_json
from mmleuk.io.writers.json_writers import write_json
from mmleuk.structures.record import FieldRecord


def patient_share(text: str) -> Tuple[str, float]:
    """Read ``PATIENT=SHARE``.

    Args:
        text (str): The argument.

    Returns:
        tuple[str, float]: Patient and share.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    patient, _, share = text.partition('=')
    try:
        if not patient:
            raise ValueError
        return normalise_patient(patient), float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'got {text!r}, expected PATIENT=SHARE, such as 4=0.1'
        ) from None


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('full', metavar='IN.json', help='full labels')
    parser.add_argument('sparse', metavar='OUT.json', help='file to write')
    parser.add_argument(
        '--share',
        type=float,
        required=True,
        help="annotated share of each field's area, above 0, at most 1",
    )
    parser.add_argument(
        '--num-regions',
        type=int,
        default=1,
        help='rectangles a field; the share is that of all together '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--placement',
        choices=PLACEMENTS,
        default='random',
        help='random: anywhere; center: in the middle; cells: around a '
        'labelled cell, if there is one (default: %(default)s)',
    )
    parser.add_argument(
        '--aspect-range',
        nargs=2,
        type=float,
        default=(0.5, 2.0),
        metavar=('LOW', 'HIGH'),
        help="range of a rectangle's width over its height (default: 0.5 2)",
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='same seed, same rectangles (default: %(default)s)',
    )
    parser.add_argument(
        '--patient-share',
        nargs='+',
        action='extend',
        type=patient_share,
        default=[],
        metavar='PATIENT=SHARE',
        help='another share for the fields of a patient, 0 for none',
    )
    parser.add_argument(
        '--max-fields-per-patient',
        type=int,
        metavar='N',
        help='leave all but N fields of each patient un-annotated',
    )
    return parser.parse_args()


def check_paths(full: Path, sparse: Path) -> None:
    """Refuse to overwrite the full labels.

    Args:
        full (Path): The file to read.
        sparse (Path): The file to write.

    Raises:
        FileNotFoundError: If the full labels are not there.
        ValueError: If both are one file.
    """
    if not full.is_file():
        raise FileNotFoundError(f'{full}: the full labels are not there')
    if sparse.exists() and sparse.samefile(full):
        raise ValueError(
            f'{sparse} is the file of the full labels, expected another one. '
            'Name a new file.'
        )


def collect_shares(
    pairs: Sequence[Tuple[str, float]],
) -> Dict[str, float]:
    """Collect the shares of patients.

    Args:
        pairs (Sequence[tuple[str, float]]): Patients and shares.

    Returns:
        dict[str, float]: Share by patient.

    Raises:
        ValueError: If a patient is named twice.
    """
    shares: Dict[str, float] = {}
    for patient, share in pairs:
        if patient in shares:
            raise ValueError(
                f'--patient-share names the patient {patient} twice'
            )
        shares[patient] = share
    return shares


def summarise(
    full: Sequence[FieldRecord], sparse: Sequence[FieldRecord]
) -> str:
    """Say in one line what is left.

    Args:
        full (Sequence[FieldRecord]): The full labels.
        sparse (Sequence[FieldRecord]): What was made of them.

    Returns:
        str: The line.
    """
    # Regions do not overlap.
    annotated = sum(
        field.width * field.height
        if field.annotated_regions is None
        else sum(
            (x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in field.annotated_regions
        )
        for field in sparse
    )
    area = sum(field.width * field.height for field in sparse)
    regions = sum(len(field.annotated_regions or ()) for field in sparse)
    all_kept, kept = (
        Counter(cell.ignored for field in fields for cell in field.cells)
        for fields in (full, sparse)
    )
    return (
        f'{len(sparse)} fields, {regions} regions, {kept[False]} of '
        f'{all_kept[False]} cells and {kept[True]} of {all_kept[True]} '
        f'ignored ones kept, {annotated / max(area, 1):.2%} of the area '
        'annotated'
    )


def main() -> None:
    """Write the sparse labels and say what is left."""
    args = parse_args()
    full_path, sparse_path = Path(args.full), Path(args.sparse)
    try:
        check_paths(full_path, sparse_path)
        patient_shares = collect_shares(args.patient_share) or None
        full = load_json(str(full_path))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    try:
        sparse = sparsify(
            full,
            args.share,
            num_regions=args.num_regions,
            placement=args.placement,
            aspect_range=tuple(args.aspect_range),
            seed=args.seed,
            patient_shares=patient_shares,
            max_fields_per_patient=args.max_fields_per_patient,
        )
    except ValueError as error:
        sys.exit(f'error: {full_path}: {error}')
    write_json(sparse_path, sparse)
    fields = (LabelFile(labels).fields for labels in (full, sparse))
    print(f'{sparse_path}: {summarise(*fields)}')


if __name__ == '__main__':
    main()
