# Copyright (c) mmleuk authors. All rights reserved.
"""Repair of known faults of annotations, the same for all formats."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from mmleuk.structures import MISSING, AttributeSchema, center_in_regions
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .faults import (
    EMPTY_REGION,
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
    UNEXPECTED_CODES,
)
from .issue_log import IssueLog

# LLD's code for "not applicable" in JSON. It is stated on purpose, so it is no
# fault.
NOT_APPLICABLE = 4

# Text labels round coordinates to six decimals: a box that leaves the image
# by less than this many pixels is no fault.
ROUNDING = 0.01

# For the same reason, a centre may lie this many pixels beside its rectangle.
SLACK = 1.0

# Boxes with a shorter side than this many pixels are dropped, as in MMDet.
MIN_SIDE = 1.0


@dataclass
class RawCell:
    """One cell as a file states it, before repair.

    Args:
        bbox (tuple[float]): (x1, y1, x2, y2) in pixels; may be degenerate.
        category (str): Normalised class name.
        codes (tuple[int | None]): One raw code per attribute of the schema,
            None where none is stated.
        ignored (bool): Whether the cell is marked as a crowd.
        where (str): The record in its file, for messages.
        region (tuple[float]): The four numbers of a region in its row of
            sparse text, as written.
    """

    bbox: Box
    category: str
    codes: Tuple[Optional[int], ...]
    ignored: bool
    where: str
    region: Tuple[float, ...] = ()


def parse_code(value: Any) -> Optional[int]:
    """Read the code of one attribute.

    Args:
        value (object): An integer, an integral float, a numeral, or None
            where the code is missing.

    Returns:
        int | None: The raw code; may lie outside the schema.

    Raises:
        ValueError: If the value is not a whole number.
    """
    if value is None or type(value) is int:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not number.is_integer():
        raise ValueError(f'got the code {value!r}, expected a whole number')
    return int(number)


# Few combinations occur.
@lru_cache(maxsize=4096)
def _clean_codes(
    schema: AttributeSchema,
    raw: Tuple[Optional[int], ...],
    is_bare: bool,
    missing_codes: Tuple[int, ...],
) -> Tuple[Tuple[int, ...], int]:
    """Mask codes, and count those that do not mean "missing"."""
    codes = (MISSING,) * len(raw) if is_bare else schema.clean(raw)
    strange = sum(
        stated not in (None, MISSING, *missing_codes) and code == MISSING
        for stated, code in zip(raw, codes)
    )
    return codes, strange


def _merge_duplicates(
    cells: Sequence[RawCell],
    schema: AttributeSchema,
    source: str,
    issues: IssueLog,
    missing_codes: Tuple[int, ...],
) -> List[CellRecord]:
    """Make one record of each exact box.

    Of duplicates, an attribute with different values is masked; with
    different classes or crowd flags the cell is ignored. A code that only one
    of them states is taken.
    """
    groups: Dict[Box, List[RawCell]] = {}
    for cell in cells:
        groups.setdefault(cell.bbox, []).append(cell)

    records = []
    for bbox, group in groups.items():
        rows = []
        for cell in group:
            # Not the class: schemas that differ in it alone are equal.
            is_bare = cell.category in schema.classes_without_attributes
            codes, strange = _clean_codes(
                schema, cell.codes, is_bare, missing_codes
            )
            if strange:
                where = f'{source}, {cell.where}'
                if is_bare:
                    issues.add(UNEXPECTED_CODES, where)
                else:
                    issues.add(STRANGE_CODE, where, strange)
            rows.append(codes)
        cell, ignored = group[0], group[0].ignored
        codes = rows[0]
        if len(group) > 1:
            where = f'{source}, {group[1].where}'
            issues.add(REPEATED_BOX, where, len(group) - 1)
            stated = [set(column) - {MISSING} for column in zip(*rows)]
            conflicts = sum(len(values) > 1 for values in stated)
            if conflicts:
                issues.add(REPEATED_ATTRIBUTE, where, conflicts)
            codes = tuple(
                values.pop() if len(values) == 1 else MISSING
                for values in stated
            )
            codes = schema.clean(codes, cell.category)
            if len({(cell.category, cell.ignored) for cell in group}) > 1:
                issues.add(REPEATED_CLASS, where)
                ignored = True
        records.append(CellRecord(bbox, cell.category, codes, ignored))
    return records


def _clip(box: Box, width: int, height: int) -> Tuple[Box, bool]:
    """Clip a box to the image; tell if by more than rounding explains."""
    x1, y1, x2, y2 = (
        min(max(value, 0.0), float(side))
        for value, side in zip(box, (width, height) * 2)
    )
    clipped = x1, y1, x2, y2
    return clipped, any(abs(a - b) > ROUNDING for a, b in zip(box, clipped))


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
        clipped, is_cut = _clip(cell.bbox, width, height)
        x1, y1, x2, y2 = clipped
        if x2 - x1 < MIN_SIDE or y2 - y1 < MIN_SIDE:
            issues.add(NO_AREA, where)
            continue
        if is_cut:
            issues.add(OVER_EDGE, where)
        kept.append(replace(cell, bbox=clipped))
        stated.append(cell)
    return kept, stated


def _repair_regions(
    regions: Sequence[Box],
    width: int,
    height: int,
    where: str,
    issues: IssueLog,
) -> Tuple[Box, ...]:
    """Clip regions to the image; drop reversed, repeated and empty ones."""
    issues.seen['regions'] += len(regions)
    kept: Dict[Box, None] = {}
    for region in regions:
        x1, y1, x2, y2 = region
        if not (all(map(math.isfinite, region)) and x1 <= x2 and y1 <= y2):
            issues.add(NO_RECTANGLE, f'{where}: {list(region)}')
            continue
        clipped, is_cut = _clip(region, width, height)
        x1, y1, x2, y2 = clipped
        if x1 == x2 or y1 == y2:
            issues.add(EMPTY_REGION, where)
            continue
        if is_cut:
            issues.add(REGION_OVER_EDGE, where)
        if clipped in kept:
            issues.add(REPEATED_REGION, where)
        kept[clipped] = None
    if any(
        one[0] < two[2]
        and two[0] < one[2]
        and one[1] < two[3]
        and two[1] < one[3]
        for one, two in combinations(kept, 2)
    ):
        issues.add(OVERLAPPING_REGIONS, where)
    issues.kept['regions'] += len(kept)
    return tuple(kept)


def repair_field(
    file_name: str,
    size: Tuple[int, int],
    cells: Sequence[RawCell],
    schema: AttributeSchema,
    source: str,
    issues: IssueLog,
    regions: Optional[Sequence[Box]] = None,
    image_id: Union[int, str, None] = None,
    missing_codes: Tuple[int, ...] = (NOT_APPLICABLE,),
) -> FieldRecord:
    """Make the record of one field, repairing known faults.

    Args:
        file_name (str): Image file, relative to the image folder.
        size (tuple[int]): (width, height) of the image in pixels.
        cells (Sequence[RawCell]): The cells as the file states them.
        schema (AttributeSchema): The attributes of ``cells``.
        source (str): The annotation file.
        issues (IssueLog): Where faults are counted.
        regions (Sequence[tuple[float]], optional): Annotated rectangles
            (x1, y1, x2, y2) in pixels; None for the whole image.
        image_id (int | str, optional): Id of the image in the file.
        missing_codes (tuple[int]): What the format states for an attribute
            that is missing: no fault, unless the attribute has such a value.
            Those of the schema are no fault, either.

    Returns:
        FieldRecord: Boxes inside the image, each only once, codes of the
        schema or -1.

    Raises:
        AnnotationError: If ``issues`` is strict and there is a fault.
    """
    width, height = size
    missing_codes += schema.missing_codes
    kept, as_stated = _keep_inside(cells, width, height, source, issues)
    if regions is not None:
        where = f'{source}, image {file_name}'
        nothing_annotated = not regions
        regions = _repair_regions(regions, width, height, where, issues)
        if regions or nothing_annotated:
            # Clipping moves centres: those of the boxes as stated count.
            inside = center_in_regions(
                np.reshape([cell.bbox for cell in as_stated], (-1, 4)),
                np.reshape(regions, (-1, 4)),
                slack=SLACK,
            )
            for cell, is_inside in zip(as_stated, inside):
                if not (is_inside or cell.ignored):
                    issues.add(OUTSIDE_REGION, f'{source}, {cell.where}')
    field = FieldRecord(
        file_name=file_name,
        width=width,
        height=height,
        cells=tuple(
            _merge_duplicates(kept, schema, source, issues, missing_codes)
        ),
        annotated_regions=regions,
        image_id=image_id,
    )
    issues.kept['images'] += 1
    issues.kept['annotations'] += len(field.cells)
    return field
