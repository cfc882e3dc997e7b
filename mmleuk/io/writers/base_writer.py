# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from mmleuk.io.conversion_report import ConversionError, ConversionReport
from mmleuk.io.repair import MIN_SIDE, NOT_APPLICABLE
from mmleuk.io.source_files import check_name
from mmleuk.structures import MISSING, Attribute, AttributeSchema
from mmleuk.structures.record import CellRecord, FieldRecord

REGIONS_LOST = 'annotated regions (what lies outside them becomes background)'
IGNORED_LOST = 'ignored cells (they become background)'


class BaseWriter(ABC):
    """Writes records in one annotation format.

    ``read(write(fit(fields)))`` gives ``fit(fields)`` again: coordinates to
    1e-6 pixels, regions in any order, a region over the whole image as "the
    whole image", image ids only where the format has them.

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): Names of the classes by index.
    """

    # Classes that the format is tied to; None for any.
    own_classes: Optional[Tuple[str, ...]] = None

    def __init__(
        self, schema: AttributeSchema, classes: Sequence[str]
    ) -> None:
        self.schema = schema
        self.classes = tuple(classes)

    def fit(
        self, fields: Sequence[FieldRecord], report: ConversionReport
    ) -> List[FieldRecord]:
        """Bring records to what the format can hold.

        Args:
            fields (Sequence[FieldRecord]): The records.
            report (ConversionReport): Where losses are counted, and cells
                that go.

        Returns:
            list[FieldRecord]: The same records where nothing is lost.

        Raises:
            ConversionError: If file names can't be written at all.
        """
        for field in fields:
            check_name(field.file_name, 'the records', field.file_name[:120])
        return [self._fit_field(field, report) for field in fields]

    def _fit_field(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Bring one record to what the format can hold."""
        return field

    @abstractmethod
    def write(
        self,
        fields: Sequence[FieldRecord],
        target: str,
        report: ConversionReport,
    ) -> None:
        """Write records.

        Args:
            fields (Sequence[FieldRecord]): Records that fit.
            target (str): The file or folder to write.
            report (ConversionReport): Where notes on the result are added.

        Raises:
            ConversionError: If ``target`` can't be written to.
        """


def drop_ignored(field: FieldRecord, report: ConversionReport) -> FieldRecord:
    """Drop ignored cells, which a format can't hold.

    Args:
        field (FieldRecord): The record.
        report (ConversionReport): Where they are counted.

    Returns:
        FieldRecord: The record without them.
    """
    kept = tuple(cell for cell in field.cells if not cell.ignored)
    lost = len(field.cells) - len(kept)
    if lost:
        report.lost[IGNORED_LOST] += lost
        report.dropped['ignored cells'] += lost
    return replace(field, cells=kept)


def drop_regions(field: FieldRecord, report: ConversionReport) -> FieldRecord:
    """Drop annotated regions, which a format can't hold.

    Args:
        field (FieldRecord): The record.
        report (ConversionReport): Where images that lose them are counted.

    Returns:
        FieldRecord: The record, annotated as a whole.
    """
    if not field.is_fully_annotated:
        report.lost[f'images with {REGIONS_LOST}'] += 1
    return replace(field, annotated_regions=None)


def mask_attributes(
    field: FieldRecord,
    schema: AttributeSchema,
    held: set,
    report: ConversionReport,
) -> FieldRecord:
    """Mask attributes that a format can't hold.

    Args:
        field (FieldRecord): The record.
        schema (AttributeSchema): Its attributes.
        held (set[str]): Names of those that the format holds.
        report (ConversionReport): Where stated codes that go are counted.

    Returns:
        FieldRecord: The record without them.
    """
    cells: List[CellRecord] = []
    for cell in field.cells:
        codes = []
        for attribute, code in zip(schema, cell.attributes):
            if attribute.name not in held and code != MISSING:
                report.lost[f'codes of {attribute.title}'] += 1
                code = MISSING
            codes.append(code)
        cells.append(replace(cell, attributes=tuple(codes)))
    return replace(field, cells=tuple(cells))


def missing_code(attribute: Attribute) -> int:
    """Choose the code that stands for a missing value in a file.

    Args:
        attribute (Attribute): The attribute.

    Returns:
        int: LLD's 4, or -1 where 4 is a value.
    """
    is_value = NOT_APPLICABLE < len(attribute.values)
    return MISSING if is_value else NOT_APPLICABLE


def safe_side(side: float) -> float:
    """Keep a side from falling below the smallest one that readers take.

    Args:
        side (float): Length in pixels, before it is written as a share of the
            image, which rounds it.

    Returns:
        float: The length, wider by less than 1e-7 pixels if it is in danger.
    """
    return side * (1 + 1e-8) if side < MIN_SIDE * (1 + 1e-8) else side


def label_names(fields: Sequence[FieldRecord]) -> List[str]:
    """Name the label file of each image: its name without suffix.

    Args:
        fields (Sequence[FieldRecord]): The records.

    Returns:
        list[str]: Names, in order.

    Raises:
        ConversionError: If an image is in a subfolder, two images share a
            name but for the suffix, or a name is taken by tools.
    """
    names = {}
    for field in fields:
        stem = osp.splitext(field.file_name)[0]
        fault = None
        if '/' in stem:
            fault = 'lies in a subfolder'
        elif stem in names:
            fault = f'would share its label file with {names[stem]}'
        elif stem in ('classes', 'obj.names'):
            fault = 'would have a label file that tools take for class names'
        if fault:
            raise ConversionError(
                f'the image {field.file_name} {fault}, expected images of '
                'one folder with names of their own. Rename it, or convert '
                'to a JSON format'
            )
        names[stem] = field.file_name
    return list(names)


def make_folder(target: str, suffixes: Sequence[str]) -> Path:
    """Make the folder of label files, refusing to mix them with others.

    Args:
        target (str): The folder.
        suffixes (Sequence[str]): Suffixes of label files.

    Returns:
        Path: The folder.

    Raises:
        ConversionError: If there are label files already.
    """
    folder = Path(target)
    if folder.exists() and not folder.is_dir():
        raise ConversionError(f'{folder} is a file, expected a new folder')
    stale = [
        path.name
        for path in (folder.rglob('*') if folder.exists() else ())
        if path.suffix in suffixes
    ]
    if stale:
        raise ConversionError(
            f'{folder} holds {len(stale)} label files already, such as '
            f'{stale[0]}, expected a new folder'
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
