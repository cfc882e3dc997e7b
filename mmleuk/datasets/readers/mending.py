# Copyright (c) mmleuk authors. All rights reserved.
"""Known faults of annotations, mended and counted alike for all formats."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple, Union

from mmleuk.structures import MISSING, AttributeSchema

from .record import AnnotationError, Box, CellRecord, FieldRecord

# LLD's code for "not applicable". It stands in the files on purpose and is
# therefore not counted as a fault.
NOT_APPLICABLE = 4

# Text labels round coordinates to six decimals: what leaves the image by less
# than this many pixels is rounding, not a fault.
ROUNDING = 0.01

# Boxes with a shorter side than this many pixels are dropped, as in MMDet.
MIN_SIDE = 1.0


class MendLog:
    """Counts what was mended, with the first place of each kind.

    Attributes:
        counts (Counter): Number of faults by kind.
        first (dict[str, str]): Where each kind was met first.
    """

    def __init__(self) -> None:
        self.counts: Counter = Counter()
        self.first: Dict[str, str] = {}

    def add(self, kind: str, where: str, number: int = 1) -> None:
        """Count a fault.

        Args:
            kind (str): What was found and done, in the plural.
            where (str): File and record.
            number (int): How many. Defaults to 1.
        """
        self.counts[kind] += number
        self.first.setdefault(kind, where)

    def summary(self) -> str:
        """Put all counts into one line.

        Returns:
            str: The line, empty when nothing was mended.
        """
        return '; '.join(
            f'{number} {kind} (first: {self.first[kind]})'
            for kind, number in sorted(self.counts.items())
        )


@dataclass
class RawCell:
    """One cell as a format states it, before mending.

    Args:
        bbox (tuple[float]): (x1, y1, x2, y2) in pixels; may be degenerate.
        category (str): Normalised class name.
        codes (tuple[int | None]): One raw code per attribute of the schema,
            None where the format states none.
        ignored (bool): Whether the format marks the cell as a crowd.
        where (str): The record in its file, for messages.
    """

    bbox: Box
    category: str
    codes: Tuple[Optional[int], ...]
    ignored: bool
    where: str


def parse_code(
    value: object, source: str, record: str, attribute: str
) -> Optional[int]:
    """Read the code of one attribute.

    Args:
        value (object): What the file holds: an integer, an integral float,
            a numeral, or None where the code is missing.
        source (str): The annotation file, for the message.
        record (str): The record in it, for the message.
        attribute (str): Name of the attribute, for the message.

    Returns:
        int | None: The raw code; may lie outside the schema.

    Raises:
        AnnotationError: If the value is not a whole number.
    """
    if value is None or type(value) is int:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not number.is_integer():
        raise AnnotationError(
            source,
            record,
            f'the attribute {attribute} has the code {value!r}, expected a '
            'whole number',
            'State the code, or 4 where none applies',
        )
    return int(number)


def _clean_codes(
    cell: RawCell, schema: AttributeSchema, source: str, mends: MendLog
) -> Tuple[int, ...]:
    """Mask codes without a meaning, counting those outside LLD's own use."""
    codes = schema.clean(cell.codes)
    strange = sum(
        raw not in (None, MISSING, NOT_APPLICABLE) and clean == MISSING
        for raw, clean in zip(cell.codes, codes)
    )
    if strange:
        mends.add(
            'attribute codes outside the schema masked',
            f'{source}, {cell.where}',
            strange,
        )
    return codes


def _merge_duplicates(
    cells: Sequence[RawCell],
    schema: AttributeSchema,
    source: str,
    mends: MendLog,
) -> List[CellRecord]:
    """Turn cells into records, one for each exact box.

    The box of a group of duplicates stays, and so does what its members agree
    on: where an attribute differs it is masked, where the class or the crowd
    flag differs the cell is ignored. A code that one member states and another
    leaves out is no conflict.
    """
    groups: Dict[Box, List[RawCell]] = {}
    for cell in cells:
        groups.setdefault(cell.bbox, []).append(cell)

    records = []
    for bbox, group in groups.items():
        codes = [_clean_codes(cell, schema, source, mends) for cell in group]
        attributes, ignored = codes[0], group[0].ignored
        if len(group) > 1:
            where = f'{source}, {group[1].where}'
            mends.add('repeated boxes dropped', where, len(group) - 1)
            stated = [set(column) - {MISSING} for column in zip(*codes)]
            conflicts = sum(len(values) > 1 for values in stated)
            if conflicts:
                mends.add(
                    'attributes on which repeated boxes differ masked',
                    where,
                    conflicts,
                )
            attributes = tuple(
                values.pop() if len(values) == 1 else MISSING
                for values in stated
            )
            if len({(cell.category, cell.ignored) for cell in group}) > 1:
                mends.add(
                    'cells on whose class repeated boxes differ ignored', where
                )
                ignored = True
        records.append(
            CellRecord(bbox, group[0].category, attributes, ignored)
        )
    return records


def _clip(box: Box, width: int, height: int) -> Box:
    """Clip a box to an image of ``width`` x ``height`` pixels."""
    x1, y1, x2, y2 = box
    return (
        min(max(x1, 0.0), float(width)),
        min(max(y1, 0.0), float(height)),
        min(max(x2, 0.0), float(width)),
        min(max(y2, 0.0), float(height)),
    )


def _overhang(box: Box, clipped: Box) -> float:
    """Largest shift in pixels of a side of ``box`` by clipping."""
    return max(abs(a - b) for a, b in zip(box, clipped))


def _keep_inside(
    cells: Sequence[RawCell],
    width: int,
    height: int,
    source: str,
    mends: MendLog,
) -> List[RawCell]:
    """Clip boxes to the image and drop those without an area in it."""
    kept = []
    for cell in cells:
        where = f'{source}, {cell.where}'
        if not all(map(math.isfinite, cell.bbox)):
            mends.add('boxes that are not finite dropped', where)
            continue
        clipped = _clip(cell.bbox, width, height)
        x1, y1, x2, y2 = clipped
        if x2 - x1 < MIN_SIDE or y2 - y1 < MIN_SIDE:
            mends.add('boxes without an area in the image dropped', where)
            continue
        if _overhang(cell.bbox, clipped) > ROUNDING:
            mends.add('boxes over the edge clipped', where)
        kept.append(
            RawCell(
                clipped, cell.category, cell.codes, cell.ignored, cell.where
            )
        )
    return kept


def _mend_regions(
    regions: Sequence[Box],
    width: int,
    height: int,
    source: str,
    record: str,
    mends: MendLog,
) -> Tuple[Box, ...]:
    """Clip regions to the image; drop repeated and empty ones."""
    kept: Dict[Box, None] = {}
    for region in regions:
        x1, y1, x2, y2 = region
        if not all(map(math.isfinite, region)) or x1 > x2 or y1 > y2:
            raise AnnotationError(
                source,
                record,
                f'the annotated region {list(region)} is no rectangle, '
                'expected finite numbers x1, y1, x2, y2 in pixels with '
                'x1 <= x2 and y1 <= y2',
                'Correct the region',
            )
        clipped = _clip(region, width, height)
        x1, y1, x2, y2 = clipped
        if x1 == x2 or y1 == y2:
            mends.add(
                'annotated regions without an area dropped',
                f'{source}, {record}',
            )
            continue
        if _overhang(region, clipped) > ROUNDING:
            mends.add(
                'annotated regions over the edge clipped',
                f'{source}, {record}',
            )
        kept[clipped] = None
    return tuple(kept)


def mend_field(
    file_name: str,
    size: Tuple[int, int],
    cells: Sequence[RawCell],
    schema: AttributeSchema,
    source: str,
    mends: MendLog,
    regions: Optional[Sequence[Box]] = None,
    image_id: Union[int, str, None] = None,
) -> FieldRecord:
    """Make the record of one field, mending the faults known of LLD.

    Args:
        file_name (str): Image file, relative to the image folder.
        size (tuple[int]): (width, height) of the image in pixels.
        cells (Sequence[RawCell]): The cells as the format states them.
        schema (AttributeSchema): The attributes of ``cells``.
        source (str): The annotation file.
        mends (MendLog): Where mended faults are counted.
        regions (Sequence[tuple[float]], optional): Annotated rectangles
            (x1, y1, x2, y2) in pixels; None for the whole image. Defaults to
            None.
        image_id (int | str, optional): Id of the image in the file. Defaults
            to None.

    Returns:
        FieldRecord: Boxes inside the image, each only once, codes of the
        schema or -1.

    Raises:
        AnnotationError: If a region is no rectangle.
    """
    width, height = size
    if regions is not None:
        regions = _mend_regions(
            regions, width, height, source, f'image {file_name}', mends
        )
    cells = _keep_inside(cells, width, height, source, mends)
    return FieldRecord(
        file_name=file_name,
        width=width,
        height=height,
        cells=tuple(_merge_duplicates(cells, schema, source, mends)),
        annotated_regions=regions,
        image_id=image_id,
    )
