# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from mmleuk.io.atomic_write import write_text
from mmleuk.io.conversion_report import ConversionError, ConversionReport
from mmleuk.io.readers import REGION_ORDERS
from mmleuk.io.readers.yolo_text import OPTIONAL_ATTRIBUTE
from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .base_writer import (
    BaseWriter,
    drop_ignored,
    drop_regions,
    label_names,
    make_folder,
    mask_attributes,
    missing_code,
    safe_side,
)


class YoloWriter(BaseWriter):
    """Writes plain YOLO: a file an image, and ``classes.txt``.

    It holds classes and boxes. An image that is not annotated gets no file.
    """

    def _fit_field(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Bring one record to what the format can hold."""
        field = drop_ignored(field, report)
        field = mask_attributes(field, self.schema, self._held(), report)
        return self._fit_regions(field, report)

    def _held(self) -> set:
        """Name the attributes that a row holds."""
        return set()

    def _fit_regions(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Keep of the regions what the format holds."""
        if field.annotated_regions == () and not field.cells:
            return field
        return drop_regions(field, report)

    def write(
        self,
        fields: Sequence[FieldRecord],
        target: str,
        report: ConversionReport,
    ) -> None:
        """Write records.

        Args:
            fields (Sequence[FieldRecord]): Records that fit.
            target (str): The folder.
            report (ConversionReport): Where notes on the result are added.

        Raises:
            ConversionError: If the folder holds label files, or no image
                would have one.
        """
        texts: Dict[str, str] = {}
        for name, field in zip(label_names(fields), fields):
            rows = self._rows(field)
            if rows is not None:
                texts[name] = ''.join(f'{row}\n' for row in rows)
        if not texts:
            raise ConversionError(
                'no image is annotated, so that no label file would be '
                'written. Convert to a JSON format'
            )
        folder = make_folder(target, ('.txt',))
        self._write_names(folder)
        for name, text in texts.items():
            write_text(folder / f'{name}.txt', text)

    def _write_names(self, folder) -> None:
        """Write the names of the classes beside the labels."""
        names = ''.join(f'{name}\n' for name in self.classes)
        write_text(folder / 'classes.txt', names)

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

    They hold LLD's classes and seven attributes. An image that is not
    annotated gets no file.

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): LLD's classes, or some of them.
        cell_size (bool): Whether to write Cell Size. Defaults to True.
    """

    own_classes = LLD_CLASSES

    def __init__(
        self,
        schema: AttributeSchema,
        classes: Sequence[str],
        cell_size: bool = True,
    ) -> None:
        super().__init__(schema, LLD_CLASSES)
        self.columns = [
            attribute
            for attribute in AttributeSchema(LLD_ATTRIBUTES)
            if cell_size or attribute.name != OPTIONAL_ATTRIBUTE
        ]

    def _held(self) -> set:
        """Name the attributes that a row holds."""
        return {attribute.name for attribute in self.columns}

    def _write_names(self, folder) -> None:
        """Leave the names out: the format fixes them."""

    def _codes(self, cell: CellRecord) -> List[int]:
        """List the codes of a row."""
        codes = dict(zip(self.schema.names, cell.attributes))
        return [
            missing_code(attribute)
            if codes.get(attribute.name, MISSING) == MISSING
            else codes[attribute.name]
            for attribute in self.columns
        ]


class SparseTextWriter(TextWriter):
    """Writes LLD's sparse text, 16 columns or 15 without Cell Size.

    Each row names one region, so that every region needs a cell: of an image
    without cells, only that nothing is annotated can be said (an empty file),
    and of an image that is not annotated no cells can be kept.

    Args:
        args (tuple): Arguments of :class:`TextWriter`.
        region_order (str): Order of the region's four numbers, a key of
            ``REGION_ORDERS``. Defaults to 'x1y1x2y2', in which the authors'
            loader takes them.
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
        """Keep of the regions what the format holds."""
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

    def _rows(self, field: FieldRecord) -> Optional[List[str]]:
        """Write the rows of one image; empty where nothing is annotated."""
        regions = field.annotated_regions
        if regions is None:
            regions = ((0.0, 0.0, float(field.width), float(field.height)),)
        if not field.cells:
            return []
        chosen = np.full(len(field.cells), -1)
        for region, cell in enumerate(_pair(field.cells, regions)):
            if cell >= 0:
                chosen[cell] = region
        rows = []
        for cell, region in zip(field.cells, chosen.tolist()):
            if region < 0:
                region = next(
                    (
                        index
                        for index, candidate in enumerate(regions)
                        if _holds(candidate, cell)
                    ),
                    0,
                )
            numbers = self._order(regions[region])
            rows.append(self._row(field, cell, numbers))
        return rows

    def _order(self, region: Box) -> List[float]:
        """Put a rectangle into the order of the columns."""
        numbers = [0.0] * 4
        places = REGION_ORDERS[self.region_order](range(4))
        for place, number in zip(places, region):
            numbers[place] = float(number)
        return numbers

    def write(
        self,
        fields: Sequence[FieldRecord],
        target: str,
        report: ConversionReport,
    ) -> None:
        """Write records.

        Args:
            fields (Sequence[FieldRecord]): Records that fit.
            target (str): The folder.
            report (ConversionReport): Where a note on the order is added.
        """
        super().write(fields, target, report)
        report.notes.append(
            f'the four numbers of a region are {self.region_order}: read '
            f'them with region_order={self.region_order!r}, since the files '
            'may fit both orders'
        )


def _holds(region: Box, cell: CellRecord) -> bool:
    """Tell whether the centre of a cell lies in a region."""
    x = (cell.bbox[0] + cell.bbox[2]) / 2
    y = (cell.bbox[1] + cell.bbox[3]) / 2
    return region[0] <= x <= region[2] and region[1] <= y <= region[3]


def _pair(
    cells: Sequence[CellRecord], regions: Sequence[Box]
) -> Tuple[int, ...]:
    """Give as many regions as possible a cell of their own inside them.

    Args:
        cells (Sequence[CellRecord]): The cells.
        regions (Sequence[tuple[float]]): The regions.

    Returns:
        tuple[int]: Index of a cell by region, -1 where there is none.
    """
    inside = [[_holds(region, cell) for cell in cells] for region in regions]
    return tuple(
        maximum_bipartite_matching(
            csr_matrix(np.array(inside, dtype=np.int8)), perm_type='column'
        ).tolist()
    )
