# Copyright (c) mmleuk authors. All rights reserved.
import json
from pathlib import Path
from typing import Dict, List, Sequence

from mmleuk.io.conversion_report import ConversionReport
from mmleuk.io.readers.lld_json import NESTED_KEY, REGIONS_KEY
from mmleuk.structures import MISSING
from mmleuk.structures.record import CellRecord, FieldRecord

from .base_writer import BaseWriter, drop_regions, missing_code, write_text


class JsonWriter(BaseWriter):
    """Writes the released JSON: codes flat in each annotation.

    It holds no annotated regions. A missing attribute is written as 4, LLD's
    "not applicable".
    """

    def _fit_field(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Bring one record to what the format can hold."""
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
            target (str): The file.
            report (ConversionReport): Unused.
        """
        write_text(Path(target), f'{json.dumps(self.make(fields))}\n')

    def make(self, fields: Sequence[FieldRecord]) -> Dict[str, List[dict]]:
        """Make the content of the file.

        Args:
            fields (Sequence[FieldRecord]): Records that fit.

        Returns:
            dict: ``images``, ``annotations`` in the order of the cells, and
            ``categories``.
        """
        ids = self._image_ids(fields)
        category_ids = {name: i for i, name in enumerate(self.classes)}
        images, annotations = [], []
        for field, image_id in zip(fields, ids):
            image = dict(
                id=image_id,
                file_name=field.file_name,
                width=field.width,
                height=field.height,
            )
            if field.annotated_regions is not None:
                image[REGIONS_KEY] = list(map(list, field.annotated_regions))
            images.append(image)
            for cell in field.cells:
                x1, y1, x2, y2 = cell.bbox
                width, height = x2 - x1, y2 - y1
                annotations.append(
                    dict(
                        id=len(annotations),
                        image_id=image_id,
                        category_id=category_ids[cell.category],
                        bbox=[x1, y1, width, height],
                        area=width * height,
                        iscrowd=int(cell.ignored),
                        **self._attributes(cell),
                    )
                )
        categories = [
            dict(id=i, name=name) for i, name in enumerate(self.classes)
        ]
        return dict(
            images=images, annotations=annotations, categories=categories
        )

    @staticmethod
    def _image_ids(fields: Sequence[FieldRecord]) -> list:
        """Keep the ids of the images if each has its own, else number them."""
        ids = [field.image_id for field in fields]
        if None in ids or len(set(ids)) < len(ids):
            return list(range(len(fields)))
        return ids

    def _codes(self, cell: CellRecord) -> Dict[str, int]:
        """State the codes of a cell by JSON key."""
        return {
            attribute.json_key: (
                missing_code(attribute) if code == MISSING else code
            )
            for attribute, code in zip(self.schema, cell.attributes)
        }

    def _attributes(self, cell: CellRecord) -> dict:
        """State the attributes of a cell, as keys of its annotation."""
        return self._codes(cell)


class NestedJsonWriter(JsonWriter):
    """Writes the draft layout: codes under ``attributes``."""

    def _attributes(self, cell: CellRecord) -> dict:
        """State the attributes of a cell, as keys of its annotation."""
        return {NESTED_KEY: self._codes(cell)}


class SparseJsonWriter(JsonWriter):
    """Writes the released JSON with ``annotated_regions``."""

    def _fit_field(
        self, field: FieldRecord, report: ConversionReport
    ) -> FieldRecord:
        """Bring one record to what the format can hold."""
        return field


class CocoWriter(SparseJsonWriter):
    """Writes COCO: named values under ``attributes``, missing ones left out.

    Annotated regions are kept in ``annotated_regions`` of an image, which
    other readers of COCO do not know.
    """

    def _attributes(self, cell: CellRecord) -> dict:
        """State the attributes of a cell, as keys of its annotation."""
        named = {
            attribute.name: attribute.values[code]
            for attribute, code in zip(self.schema, cell.attributes)
            if code != MISSING
        }
        return {'segmentation': [], NESTED_KEY: named}

    def write(
        self,
        fields: Sequence[FieldRecord],
        target: str,
        report: ConversionReport,
    ) -> None:
        """Write records.

        Args:
            fields (Sequence[FieldRecord]): Records that fit.
            target (str): The file.
            report (ConversionReport): Where a note is added if there are
                regions.
        """
        super().write(fields, target, report)
        if any(field.annotated_regions is not None for field in fields):
            report.notes.append(
                f'other readers of COCO do not know {REGIONS_KEY!r} and take '
                'what lies outside as background'
            )
