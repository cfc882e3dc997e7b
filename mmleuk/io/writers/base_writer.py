# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from mmleuk.io.atomic_write import write_text
from mmleuk.io.conversion_report import ConversionError, ConversionReport
from mmleuk.io.label_setup import region_label_of
from mmleuk.io.readers.box_reader import REGION_LABEL
from mmleuk.io.repair import MIN_SIDE, NOT_APPLICABLE
from mmleuk.io.source_files import check_name
from mmleuk.structures import MISSING, Attribute, AttributeSchema
from mmleuk.structures.record import Box, CellRecord, FieldRecord

REGIONS_LOST = 'annotated regions (what lies outside them becomes background)'
CODES_LOST = 'attributes of cells of a class without attributes'
IGNORED_LOST = 'ignored cells (they become background)'


class BaseWriter(ABC):
    """Writes records in one annotation format.

    Reading what was written gives the records of :meth:`fit` again:
    coordinates to 1e-6 pixels, regions in any order, a region over the whole
    image as "the whole image", image ids only where the format has them.

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): Class names by index.
    """

    # Classes that the format is tied to; None for any.
    own_classes: Optional[Tuple[str, ...]] = None

    # Whether the format can state annotated regions.
    holds_regions = True

    def __init__(
        self, schema: AttributeSchema, classes: Sequence[str]
    ) -> None:
        self.schema = schema
        self.classes = tuple(classes)

    def fit(
        self, fields: Sequence[FieldRecord], report: ConversionReport
    ) -> List[FieldRecord]:
        """Reduce records to what the format can hold.

        Args:
            fields (Sequence[FieldRecord]): The records.
            report (ConversionReport): Where losses and dropped cells are
                counted.

        Returns:
            list[FieldRecord]: The same records where nothing is lost.

        Raises:
            ConversionError: If a file name can not be written.
        """
        for field in fields:
            check_name(field.file_name, 'the records', field.file_name[:120])
        return [
            self._fit_field(self._drop_codes(field, report), report)
            for field in fields
        ]

    def _drop_codes(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Drop the attributes that readers would mask by the class."""
        cells = []
        for cell in field.cells:
            missing = (MISSING,) * len(cell.attributes)
            is_bare = cell.category in self.schema.classes_without_attributes
            if is_bare and cell.attributes != missing:
                report.lost[CODES_LOST] += 1
                cell = replace(cell, attributes=missing)
            cells.append(cell)
        return replace(field, cells=tuple(cells))

    def _fit_field(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Reduce one record to what the format can hold."""
        return field if self.holds_regions else drop_regions(field, report)

    def write(
        self,
        fields: Sequence[FieldRecord],
        target: str,
        report: ConversionReport,
    ) -> None:
        """Write records.

        Args:
            fields (Sequence[FieldRecord]): Records from :meth:`fit`.
            target (str): The file or folder to write.
            report (ConversionReport): Where notes on the result are added.

        Raises:
            ConversionError: If ``target`` can not be written.
        """
        self._write(fields, target)
        report.notes += self._notes(fields)

    @abstractmethod
    def _write(self, fields: Sequence[FieldRecord], target: str) -> None:
        """Write records, see :meth:`write`."""

    def _notes(self, fields: Sequence[FieldRecord]) -> List[str]:
        """Note what people should know about the result."""
        return []

    def known_values(self, cell: CellRecord) -> List[Tuple[Attribute, str]]:
        """Pair the attributes of a cell that are known with their values."""
        return [
            (attribute, attribute.values[code])
            for attribute, code in zip(self.schema, cell.attributes)
            if code != MISSING
        ]


class ToolWriter(BaseWriter):
    """Writes for a labelling tool, which shows annotated regions as boxes.

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): Names of the classes.
        region_label (str): Label of annotated regions.

    Raises:
        ValueError: If a class has the name of that label.
    """

    def __init__(
        self,
        schema: AttributeSchema,
        classes: Sequence[str],
        region_label: str = REGION_LABEL,
    ) -> None:
        super().__init__(schema, classes)
        self.region_label = region_label_of(region_label, classes)

    def _regions(self, fields: Sequence[FieldRecord]) -> List[Sequence[Box]]:
        """Choose the rectangles (x1, y1, x2, y2) to draw in each image.

        If all images are annotated as a whole, there are none. Else an image
        that is annotated as a whole gets a rectangle over all of it, so that
        an image without any is one that is not annotated.
        """
        if all(field.is_fully_annotated for field in fields):
            return [()] * len(fields)
        return [
            [(0, 0, field.width, field.height)]
            if field.is_fully_annotated
            else field.annotated_regions
            for field in fields
        ]

    def _notes(self, fields: Sequence[FieldRecord]) -> List[str]:
        """Note that no image is annotated, which the file does not tell."""
        if any(field.annotated_regions != () for field in fields):
            return []
        return [
            'no image is annotated; read the file back with '
            'unmarked="nothing" (--unmarked nothing) until the first region '
            'is drawn'
        ]


def drop_ignored(field: FieldRecord, report: ConversionReport) -> FieldRecord:
    """Drop ignored cells, which a format can not hold, and count them."""
    kept = tuple(cell for cell in field.cells if not cell.ignored)
    lost = len(field.cells) - len(kept)
    if lost:
        report.lost[IGNORED_LOST] += lost
        report.dropped['ignored cells'] += lost
    return replace(field, cells=kept)


def drop_regions(field: FieldRecord, report: ConversionReport) -> FieldRecord:
    """Drop annotated regions, which a format can not hold; count images."""
    if not field.is_fully_annotated:
        report.lost[f'images with {REGIONS_LOST}'] += 1
    return replace(field, annotated_regions=None)


def missing_code(attribute: Attribute) -> int:
    """Choose the code of a missing value: LLD's 4, or -1 if 4 is a value."""
    is_value = NOT_APPLICABLE < len(attribute.values)
    return MISSING if is_value else NOT_APPLICABLE


def safe_side(side: float) -> float:
    """Widen a side in pixels, if rounding could make it too short for readers.

    A side is written as a rounded share of the image. It grows by less than
    1e-7 pixels.
    """
    return side * (1 + 1e-8) if side < MIN_SIDE * (1 + 1e-8) else side


def label_names(
    fields: Sequence[FieldRecord], one_folder: bool = True
) -> List[str]:
    """Name the label file of each image: its name without suffix.

    Args:
        fields (Sequence[FieldRecord]): The records.
        one_folder (bool): Whether all label files lie in one folder, beside
            a list of class names.

    Returns:
        list[str]: Names, in order.

    Raises:
        ConversionError: If an image lies in a subfolder, two images have the
            same name but for the suffix, or the name is that of the list.
    """
    names: Dict[str, str] = {}
    for field in fields:
        stem = osp.splitext(field.file_name)[0]
        fault = None
        if stem in names:
            fault = f'would share its label file with {names[stem]}'
        elif one_folder and '/' in stem:
            fault = 'lies in a subfolder'
        elif one_folder and stem in ('classes', 'obj.names'):
            fault = 'would have a label file that tools take for class names'
        if fault:
            raise ConversionError(
                f'the image {field.file_name} {fault}, expected images of '
                'one folder with names of their own. Rename it, or convert '
                'to a JSON format'
            )
        names[stem] = field.file_name
    return list(names)


def write_label_files(target: str, texts: Dict[str, str], suffix: str) -> None:
    """Write label files into a folder that holds none.

    Args:
        target (str): The folder.
        texts (dict[str, str]): Content by file name without suffix.
        suffix (str): Suffix of the files, such as ``'.txt'``.

    Raises:
        ConversionError: If there is nothing to write, or the folder holds
            such files.
    """
    if not texts:
        raise ConversionError(
            'no image is annotated, so that no label file would be written. '
            'Convert to a JSON format'
        )
    folder = Path(target)
    if folder.exists() and not folder.is_dir():
        raise ConversionError(f'{folder} is a file, expected a new folder')
    stale = [path.name for path in folder.rglob(f'*{suffix}')]
    if stale:
        raise ConversionError(
            f'{folder} holds {len(stale)} label files already, such as '
            f'{stale[0]}, expected a new folder'
        )
    for name, text in texts.items():
        write_text(folder / f'{name}{suffix}', text)
