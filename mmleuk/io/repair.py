# Copyright (c) mmleuk authors. All rights reserved.
"""Known faults of annotations, mended and counted alike for all formats."""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Dict, List, Optional, Sequence, Tuple, Union

from mmleuk.structures import MISSING, AttributeSchema
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .errors import AnnotationError
from .faults import (
    EMPTY_REGION,
    FAULTS,
    MOSTLY_FAULTY,
    NO_AREA,
    NO_RECTANGLE,
    NOT_FINITE,
    OUTSIDE_REGION,
    OVER_EDGE,
    OVERLAPPING_REGIONS,
    REGION_OVER_EDGE,
    REPEATED_ATTRIBUTE,
    REPEATED_BOX,
    REPEATED_CLASS,
    REPEATED_REGION,
    STRANGE_CODE,
    Fault,
)

# LLD's code for "not applicable". It stands in the files on purpose and is
# therefore not counted as a fault.
NOT_APPLICABLE = 4

# Text labels round coordinates to six decimals: what leaves the image by less
# than this many pixels is rounding, not a fault.
ROUNDING = 0.01

# Slack in pixels of a centre beside its rectangle, for rounded coordinates.
SLACK = 1.0

# Boxes with a shorter side than this many pixels are dropped, as in MMDet.
MIN_SIDE = 1.0


# So many places of each kind of fault are remembered.
MAX_PLACES = 5


class IssueLog:
    """Counts what was read and what was mended, with the first places.

    For each unit (``'images'``, ``'annotations'``, ``'regions'``, ``'label
    files'``) what was seen is what was kept and what the faults removed:
    :meth:`balance` says so.

    Attributes:
        counts (Counter): Number of faults by kind.
        first (dict[str, str]): Where each kind was met first.
        places (dict[str, list[str]]): The first five places of each kind.
        seen (Counter): What the annotations hold, by unit.
        kept (Counter): What of it is in the records, by unit.

    Args:
        strict (bool): Whether the first fault is an error. Defaults to False.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.counts: Counter = Counter()
        self.first: Dict[str, str] = {}
        self.places: Dict[str, List[str]] = {}
        self.seen: Counter = Counter()
        self.kept: Counter = Counter()

    def add(
        self, kind: Union[Fault, str], where: str, number: int = 1
    ) -> None:
        """Count a fault.

        Args:
            kind (Fault | str): What was found and done, in the plural.
            where (str): File and record.
            number (int): How many. Defaults to 1.

        Raises:
            AnnotationError: If the log is strict.
        """
        fault = FAULTS.get(str(kind))
        # What JSON can hold and no log can write: half a surrogate pair.
        where = where.encode('utf-8', 'backslashreplace').decode('utf-8')
        if self.strict:
            raise AnnotationError(
                where,
                '',
                f'a fault that would be counted under "{kind}", expected '
                'faultless data with strict=True',
                fault.mend if fault else 'Correct the record',
                fault,
            )
        kind = str(kind)
        self.counts[kind] += number
        places = self.places.setdefault(kind, [])
        if not places:
            self.first[kind] = where
        if len(places) < MAX_PLACES:
            places.append(where)

    def balance(self) -> Dict[str, Tuple[int, int, int]]:
        """Set what was seen against what was kept and removed.

        Returns:
            dict[str, tuple[int]]: (seen, kept, removed) by unit. The first is
            the sum of the others, or something was lost on the way.
        """
        removed: Counter = Counter()
        for kind, number in self.counts.items():
            fault = FAULTS.get(kind)
            if fault is not None and fault.removes:
                removed[fault.removes] += number
        return {
            unit: (self.seen[unit], self.kept[unit], removed[unit])
            for unit in self.seen
        }

    def lines(self) -> List[str]:
        """Put each kind into one line.

        Returns:
            list[str]: The lines, empty when nothing was mended.
        """
        return [
            f'{number} {kind} (first: {self.first[kind]})'
            for kind, number in sorted(self.counts.items())
        ]

    def summary(self) -> str:
        """Put all counts into one line.

        Returns:
            str: The line, empty when nothing was mended.
        """
        return '; '.join(self.lines())


class FaultRateCheck:
    """Refuses a source of which more than half turns out to be faulty.

    Dropping record after record of a file that is read as what it is not
    would leave next to nothing and say so in a log line alone.

    Args:
        issues (IssueLog): The log, as it is before the source is read.
        source (str): The annotation file or folder.
    """

    def __init__(self, issues: IssueLog, source: str) -> None:
        self.issues = issues
        self.source = source
        self.counts = Counter(issues.counts)
        self.seen = Counter(issues.seen)
        self.places = {
            kind: len(places) for kind, places in issues.places.items()
        }

    def check(self) -> None:
        """Refuse the source if more than half of any unit is faulty.

        Raises:
            AnnotationError: If so, with the commonest fault of that unit.
        """
        found = self.issues.counts - self.counts
        seen = self.issues.seen - self.seen
        for unit, number in seen.items():
            faults = {
                fault: found[fault.text]
                for fault in FAULTS.values()
                if fault.limited_to_half_of == unit and found[fault.text]
            }
            if sum(faults.values()) * 2 <= number:
                continue
            fault = max(faults, key=faults.get)
            places = self.issues.places[fault.text]
            # Where the places were full before, the last one is another's.
            index = self.places.get(fault.text, 0)
            first = places[index] if index < len(places) else self.source
            raise AnnotationError(
                self.source,
                '',
                f'of {number} {unit}, {sum(faults.values())} are faulty, most '
                f'of them {fault.text} (first: {first}). Expected at most '
                'half, or the data is not what it is read as',
                fault.mend,
                MOSTLY_FAULTY,
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


# Cleaned codes, and how many of them were strange, by raw codes: the same few
# combinations come again and again.
CodeMemo = Dict[Tuple[Optional[int], ...], Tuple[Tuple[int, ...], int]]


def _clean_codes(
    cell: RawCell,
    schema: AttributeSchema,
    source: str,
    issues: IssueLog,
    memo: CodeMemo,
) -> Tuple[int, ...]:
    """Mask codes without a meaning, counting those outside LLD's own use."""
    if cell.codes not in memo:
        codes = schema.clean(cell.codes)
        strange = sum(
            raw not in (None, MISSING, NOT_APPLICABLE) and clean == MISSING
            for raw, clean in zip(cell.codes, codes)
        )
        memo[cell.codes] = codes, strange
    codes, strange = memo[cell.codes]
    if strange:
        issues.add(STRANGE_CODE, f'{source}, {cell.where}', strange)
    return codes


def _merge_duplicates(
    cells: Sequence[RawCell],
    schema: AttributeSchema,
    source: str,
    issues: IssueLog,
    memo: CodeMemo,
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
        cell = group[0]
        if len(group) == 1:
            codes = _clean_codes(cell, schema, source, issues, memo)
            records.append(
                CellRecord(bbox, cell.category, codes, cell.ignored)
            )
            continue
        columns = zip(
            *(
                _clean_codes(cell, schema, source, issues, memo)
                for cell in group
            )
        )
        where = f'{source}, {group[1].where}'
        issues.add(REPEATED_BOX, where, len(group) - 1)
        stated = [set(column) - {MISSING} for column in columns]
        conflicts = sum(len(values) > 1 for values in stated)
        if conflicts:
            issues.add(REPEATED_ATTRIBUTE, where, conflicts)
        attributes = tuple(
            values.pop() if len(values) == 1 else MISSING for values in stated
        )
        ignored = cell.ignored
        if len({(cell.category, cell.ignored) for cell in group}) > 1:
            issues.add(REPEATED_CLASS, where)
            ignored = True
        records.append(CellRecord(bbox, cell.category, attributes, ignored))
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
    issues: IssueLog,
) -> Tuple[List[RawCell], List[RawCell]]:
    """Clip boxes to the image and drop those without an area in it.

    Returns:
        tuple[list[RawCell]]: What is kept, and the same cells as stated.
    """
    kept, stated = [], []
    for cell in cells:
        x1, y1, x2, y2 = cell.bbox
        # Nearly all boxes: this loop decides how fast labels load.
        if (
            0 <= x1 <= x2 - MIN_SIDE <= width - MIN_SIDE
            and 0 <= y1 <= y2 - MIN_SIDE <= height - MIN_SIDE
        ):
            kept.append(cell)
            stated.append(cell)
            continue
        where = f'{source}, {cell.where}'
        if not all(map(math.isfinite, cell.bbox)):
            issues.add(NOT_FINITE, where)
            continue
        clipped = _clip(cell.bbox, width, height)
        x1, y1, x2, y2 = clipped
        if x2 - x1 < MIN_SIDE or y2 - y1 < MIN_SIDE:
            issues.add(NO_AREA, where)
            continue
        if _overhang(cell.bbox, clipped) > ROUNDING:
            issues.add(OVER_EDGE, where)
        kept.append(
            RawCell(
                clipped, cell.category, cell.codes, cell.ignored, cell.where
            )
        )
        stated.append(cell)
    return kept, stated


def is_rectangle(region: Box) -> bool:
    """Tell whether a region is a rectangle, which may be empty.

    Args:
        region (tuple[float]): Four numbers.

    Returns:
        bool: Whether they are finite, x1 <= x2 and y1 <= y2.
    """
    x1, y1, x2, y2 = region
    return all(map(math.isfinite, region)) and x1 <= x2 and y1 <= y2


def _repair_regions(
    regions: Sequence[Box],
    width: int,
    height: int,
    where: str,
    issues: IssueLog,
) -> Tuple[Box, ...]:
    """Clip regions to the image; drop reversed, repeated and empty ones.

    What is dropped counts as not annotated, which teaches nothing wrong.
    """
    issues.seen['regions'] += len(regions)
    kept: Dict[Box, None] = {}
    for region in regions:
        if not is_rectangle(region):
            issues.add(NO_RECTANGLE, f'{where}: {list(region)}')
            continue
        clipped = _clip(region, width, height)
        x1, y1, x2, y2 = clipped
        if x1 == x2 or y1 == y2:
            issues.add(EMPTY_REGION, where)
            continue
        if _overhang(region, clipped) > ROUNDING:
            issues.add(REGION_OVER_EDGE, where)
        if clipped in kept:
            issues.add(REPEATED_REGION, where)
        kept[clipped] = None
    if any(_overlap(one, two) for one, two in combinations(kept, 2)):
        issues.add(OVERLAPPING_REGIONS, where)
    issues.kept['regions'] += len(kept)
    return tuple(kept)


def _overlap(one: Box, two: Box) -> bool:
    """Tell whether two rectangles share an area."""
    return (
        one[0] < two[2]
        and two[0] < one[2]
        and one[1] < two[3]
        and two[1] < one[3]
    )


def _is_outside(cell: RawCell, regions: Sequence[Box]) -> bool:
    """Tell whether the centre of a cell lies in none of the regions."""
    x1, y1, x2, y2 = cell.bbox
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return not any(
        left - SLACK <= x <= right + SLACK
        and top - SLACK <= y <= bottom + SLACK
        for left, top, right, bottom in regions
    )


def repair_field(
    file_name: str,
    size: Tuple[int, int],
    cells: Sequence[RawCell],
    schema: AttributeSchema,
    source: str,
    issues: IssueLog,
    regions: Optional[Sequence[Box]] = None,
    image_id: Union[int, str, None] = None,
    memo: Optional[CodeMemo] = None,
) -> FieldRecord:
    """Make the record of one field, mending the faults known of LLD.

    Args:
        file_name (str): Image file, relative to the image folder.
        size (tuple[int]): (width, height) of the image in pixels.
        cells (Sequence[RawCell]): The cells as the format states them.
        schema (AttributeSchema): The attributes of ``cells``.
        source (str): The annotation file.
        issues (IssueLog): Where mended faults are counted.
        regions (Sequence[tuple[float]], optional): Annotated rectangles
            (x1, y1, x2, y2) in pixels; None for the whole image. Defaults to
            None.
        image_id (int | str, optional): Id of the image in the file. Defaults
            to None.
        memo (dict, optional): Memory for cleaned codes, shared by the fields
            of one schema to save time. Defaults to None, a new one.

    Returns:
        FieldRecord: Boxes inside the image, each only once, codes of the
        schema or -1.

    Raises:
        AnnotationError: If ``issues`` is strict and there is a fault.
    """
    width, height = size
    memo = {} if memo is None else memo
    kept, as_stated = _keep_inside(cells, width, height, source, issues)
    if regions is not None:
        where = f'{source}, image {file_name}'
        nothing_annotated = not regions
        regions = _repair_regions(regions, width, height, where, issues)
        if regions or nothing_annotated:
            # Clipping moves centres: those of the boxes as stated count.
            for cell in as_stated:
                if not cell.ignored and _is_outside(cell, regions):
                    issues.add(OUTSIDE_REGION, f'{source}, {cell.where}')
    field = FieldRecord(
        file_name=file_name,
        width=width,
        height=height,
        cells=tuple(_merge_duplicates(kept, schema, source, issues, memo)),
        annotated_regions=regions,
        image_id=image_id,
    )
    issues.kept['images'] += 1
    issues.kept['annotations'] += len(field.cells)
    return field
