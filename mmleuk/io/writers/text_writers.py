# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Set

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from mmleuk.io.conversion_report import ConversionReport
from mmleuk.io.readers import REGION_ORDERS
from mmleuk.io.readers.yolo_text import OPTIONAL_ATTRIBUTE, TEXT_MISSING
from mmleuk.structures import (
    LLD_SCHEMA,
    MISSING,
    Attribute,
    AttributeSchema,
    center_in_regions,
)
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .base_writer import (
    BaseWriter,
    drop_ignored,
    drop_regions,
    label_names,
    missing_code,
    safe_side,
    write_label_files,
)


class YoloWriter(BaseWriter):
    """Writes plain YOLO: a file an image, and ``classes.txt``.

    It holds classes and boxes. An image that is not annotated gets no file.
    """

    # Names of the attributes that a row holds.
    held: Set[str] = set()

    def _fit_field(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Drop ignored cells, mask attributes, reduce regions."""
        field = drop_ignored(field, report)
        cells = []
        for cell in field.cells:
            codes = list(cell.attributes)
            for index, (attribute, code) in enumerate(zip(self.schema, codes)):
                if attribute.name not in self.held and code != MISSING:
                    report.lost[f'codes of {attribute.title}'] += 1
                    codes[index] = MISSING
            cells.append(replace(cell, attributes=tuple(codes)))
        return self._fit_regions(replace(field, cells=tuple(cells)), report)

    def _fit_regions(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Drop regions, unless the image has neither regions nor cells."""
        if field.annotated_regions == () and not field.cells:
            return field
        return drop_regions(field, report)

    def _write(self, fields: Sequence[FieldRecord], target: str) -> None:
        """Write one label file an image."""
        texts: Dict[str, str] = {}
        for name, field in zip(label_names(fields), fields):
            rows = self._rows(field)
            if rows is not None:
                texts[name] = ''.join(f'{row}\n' for row in rows)
        if texts and self.own_classes is None:
            texts['classes'] = ''.join(f'{name}\n' for name in self.classes)
        write_label_files(target, texts, '.txt')

    def _rows(self, field: FieldRecord) -> Optional[List[str]]:
        """Write the rows of one image; None for no file."""
        if field.annotated_regions == ():
            return None
        return [self._row(field, cell) for cell in field.cells]

    def _row(
        self,
        field: FieldRecord,
        cell: CellRecord,
        region: Sequence[float] = (),
    ) -> str:
        """Write the row of one cell."""
        x1, y1, x2, y2 = cell.bbox
        box = (
            (x1 + x2) / 2 / field.width,
            (y1 + y2) / 2 / field.height,
            safe_side(x2 - x1) / field.width,
            safe_side(y2 - y1) / field.height,
        )
        return ' '.join(
            [
                str(self.classes.index(cell.category)),
                *(f'{number:.12g}' for number in box),
                *map(repr, region),
                *map(str, self._codes(cell)),
            ]
        )

    def _codes(self, cell: CellRecord) -> List[int]:
        """List the codes of a row."""
        return []


class TextWriter(YoloWriter):
    """Writes LLD's text labels, 12 columns or 11 without Cell Size.

    They hold LLD's classes and seven attributes. A missing attribute is
    written as 2, or as 4 where 2 is a value (Cell Size), except that a cell
    of a class without attributes has 2 in all columns. An image that is not
    annotated gets no file.

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): LLD's classes, or some of them.
        cell_size (bool): Whether to write Cell Size.
    """

    own_classes = LLD_CLASSES

    def __init__(
        self,
        schema: AttributeSchema,
        classes: Sequence[str],
        cell_size: bool = True,
    ) -> None:
        super().__init__(schema, LLD_CLASSES)
        own = {attribute.name: attribute for attribute in schema}
        # Attributes, and how a missing one is written, by column.
        self.columns = [
            (attribute, _missing_code(own.get(attribute.name, attribute)))
            for attribute in LLD_SCHEMA
            if cell_size or attribute.name != OPTIONAL_ATTRIBUTE
        ]
        self.held = {attribute.name for attribute, _ in self.columns}

    def _codes(self, cell: CellRecord) -> List[int]:
        """List the codes of a row."""
        if cell.category in self.schema.classes_without_attributes:
            return [TEXT_MISSING] * len(self.columns)
        stated = {
            attribute.name: code
            for attribute, code in zip(self.schema, cell.attributes)
            if code != MISSING
        }
        return [
            stated.get(column.name, missing)
            for column, missing in self.columns
        ]


def _missing_code(attribute: Attribute) -> int:
    """Choose the code of a missing value: 2, or another if 2 is a value."""
    is_value = TEXT_MISSING < len(attribute.values)
    return missing_code(attribute) if is_value else TEXT_MISSING


class SparseTextWriter(TextWriter):
    """Writes text labels with the rectangle of a region in every row.

    Each row names one region, so that a region without a cell of its own is
    lost.

    Args:
        args (tuple): Arguments of :class:`TextWriter`.
        region_order (str): Order of the four numbers, a key of
            ``REGION_ORDERS``. The default is the one of the authors' loader.
        kwargs (dict): Keyword arguments of :class:`TextWriter`.

    Raises:
        ValueError: If the order is unknown.
    """

    def __init__(
        self, *args, region_order: str = 'x1y1x2y2', **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        if region_order not in REGION_ORDERS:
            raise ValueError(
                f'region_order is {region_order!r}, expected one of '
                f'{", ".join(REGION_ORDERS)}'
            )
        self.region_order = region_order

    def _fit_regions(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Drop regions that no row can name."""
        regions = field.annotated_regions
        if field.is_fully_annotated:
            if field.cells:
                return replace(field, annotated_regions=None)
            report.lost[
                'images without a cell that are annotated as a whole (an '
                'empty file says that nothing is annotated)'
            ] += 1
            return replace(field, annotated_regions=())
        if not field.cells:
            if regions:
                report.lost['regions of images without a cell'] += len(regions)
            return replace(field, annotated_regions=())
        if not regions:
            report.lost['images with cells of which nothing is annotated'] += 1
            report.dropped['cells of images that are not annotated'] += len(
                field.cells
            )
            return replace(field, cells=())
        pairs = _pair(field.cells, regions)
        kept = tuple(
            region for region, cell in zip(regions, pairs) if cell >= 0
        )
        # Where no cell lies in any region, their rows still can name one.
        kept = kept or regions[:1]
        if len(kept) < len(regions):
            report.lost['regions without a cell'] += len(regions) - len(kept)
        return replace(field, annotated_regions=kept)

    def _rows(self, field: FieldRecord) -> List[str]:
        """Write the rows of one image; empty where nothing is annotated."""
        regions = field.annotated_regions
        if regions is None:
            regions = ((0.0, 0.0, float(field.width), float(field.height)),)
        if not field.cells:
            return []
        # A cell without a region of its own names the first that holds it.
        chosen = _inside(field.cells, regions).argmax(axis=0)
        for region, cell in enumerate(_pair(field.cells, regions)):
            if cell >= 0:
                chosen[cell] = region
        return [
            self._row(field, cell, self._order(regions[region]))
            for cell, region in zip(field.cells, chosen)
        ]

    def _order(self, region: Box) -> List[float]:
        """Put a rectangle into the order of the columns."""
        numbers = [0.0] * 4
        places = REGION_ORDERS[self.region_order](range(4))
        for place, number in zip(places, region):
            numbers[place] = float(number)
        return numbers

    def _notes(self, fields: Sequence[FieldRecord]) -> List[str]:
        """Note the order of the region."""
        return [
            f'the four numbers of a region are {self.region_order}: read '
            f'them with region_order={self.region_order!r}, since the files '
            'may fit both orders'
        ]


def _inside(cells: Sequence[CellRecord], regions: Sequence[Box]) -> np.ndarray:
    """Tell which regions hold the centre of which cells, shape (r, c)."""
    bboxes = np.array([cell.bbox for cell in cells])
    return np.array(
        [center_in_regions(bboxes, np.array([region])) for region in regions]
    )


def _pair(cells: Sequence[CellRecord], regions: Sequence[Box]) -> List[int]:
    """Give as many regions as possible a cell of their own.

    Returns:
        list[int]: Index of a cell inside each region, -1 where there is none.
    """
    inside = _inside(cells, regions).astype(np.int8)
    return maximum_bipartite_matching(
        csr_matrix(inside), perm_type='column'
    ).tolist()
