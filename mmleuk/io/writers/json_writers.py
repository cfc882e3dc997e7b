# Copyright (c) mmleuk authors. All rights reserved.
import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

from mmleuk.io.atomic_write import write_text
from mmleuk.io.readers.lld_json import NESTED_KEY, REGIONS_KEY
from mmleuk.structures import MISSING, AttributeSchema
from mmleuk.structures.record import CellRecord, FieldRecord

from .base_writer import BaseWriter, missing_code

# Decimals of sides and areas: enough for 1e-6 pixels, and short.
DECIMALS = 6


def make_lld_json(
    fields: Sequence[FieldRecord],
    schema: AttributeSchema,
    classes: Sequence[str],
    state_missing: bool = True,
) -> Dict[str, List[dict]]:
    """Make the content of a label file in LLD's JSON layout.

    Args:
        fields (Sequence[FieldRecord]): The records. Annotated regions are
            stated where they are not None.
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): Class names by category id.
        state_missing (bool): Whether a missing attribute is stated as 4,
            LLD's "not applicable", or left out.

    Returns:
        dict: ``images``, ``annotations`` in the order of the cells, and
        ``categories``.
    """
    return SparseJsonWriter(schema, classes, state_missing).make(fields)


def write_lld_json(
    fields: Sequence[FieldRecord],
    path: Union[str, Path],
    schema: AttributeSchema,
    classes: Sequence[str],
    state_missing: bool = True,
) -> None:
    """Write a label file in LLD's JSON layout, see :func:`make_lld_json`."""
    write_json(path, make_lld_json(fields, schema, classes, state_missing))


def write_json(path: Union[str, Path], content: object) -> None:
    """Write JSON in one line, as a whole or not at all."""
    write_text(path, f'{json.dumps(content)}\n')


class JsonWriter(BaseWriter):
    """Writes the released JSON: codes flat in each annotation.

    It holds no annotated regions. A missing attribute is written as 4, LLD's
    "not applicable".

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): Class names by category id.
        state_missing (bool): Whether missing attributes are written at all.
    """

    holds_regions = False

    def __init__(
        self,
        schema: AttributeSchema,
        classes: Sequence[str],
        state_missing: bool = True,
    ) -> None:
        super().__init__(schema, classes)
        self.state_missing = state_missing

    def _write(self, fields: Sequence[FieldRecord], target: str) -> None:
        """Write one JSON file."""
        write_json(target, self.make(fields))

    def make(self, fields: Sequence[FieldRecord]) -> Dict[str, List[dict]]:
        """Make the content of the file, see :func:`make_lld_json`."""
        image_ids: Sequence[Any] = [field.image_id for field in fields]
        if None in image_ids or len(set(image_ids)) < len(image_ids):
            image_ids = range(len(fields))
        category_ids = {name: i for i, name in enumerate(self.classes)}
        images: List[dict] = []
        annotations: List[dict] = []
        for field, image_id in zip(fields, image_ids):
            image: Dict[str, Any] = dict(
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
                width, height = (
                    round(x2 - x1, DECIMALS),
                    round(y2 - y1, DECIMALS),
                )
                annotations.append(
                    dict(
                        id=len(annotations),
                        image_id=image_id,
                        category_id=category_ids[cell.category],
                        bbox=[x1, y1, width, height],
                        area=round(width * height, DECIMALS),
                        iscrowd=int(cell.ignored),
                        **self._attributes(cell),
                        **(cell.extra or {}),
                    )
                )
        categories = [
            dict(id=i, name=name) for i, name in enumerate(self.classes)
        ]
        return dict(
            images=images, annotations=annotations, categories=categories
        )

    def _attributes(self, cell: CellRecord) -> dict:
        """State the attributes of a cell, as keys of its annotation."""
        return {
            attribute.json_key: (
                missing_code(attribute) if code == MISSING else code
            )
            for attribute, code in zip(self.schema, cell.attributes)
            if self.state_missing or code != MISSING
        }


class NestedJsonWriter(JsonWriter):
    """Writes the draft layout: codes under ``attributes``."""

    def _attributes(self, cell: CellRecord) -> dict:
        """State the attributes of a cell, as keys of its annotation."""
        return {NESTED_KEY: super()._attributes(cell)}


class SparseJsonWriter(JsonWriter):
    """Writes the released JSON with ``annotated_regions``."""

    holds_regions = True


class CocoWriter(SparseJsonWriter):
    """Writes COCO: named values under ``attributes``, missing ones left out.

    Annotated regions are kept in ``annotated_regions`` of an image, which
    other readers of COCO do not know.
    """

    def _attributes(self, cell: CellRecord) -> dict:
        """State the attributes of a cell, as keys of its annotation."""
        named = {
            attribute.name: value
            for attribute, value in self.known_values(cell)
        }
        return {'segmentation': [], NESTED_KEY: named}

    def _notes(self, fields: Sequence[FieldRecord]) -> List[str]:
        """Note that other readers of COCO ignore the regions."""
        if all(field.annotated_regions is None for field in fields):
            return []
        return [
            f'other readers of COCO do not know {REGIONS_KEY!r} and take '
            'what lies outside as background'
        ]
