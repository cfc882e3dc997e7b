# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Sequence
from urllib.parse import quote

from mmleuk.io.attribute_names import IGNORED
from mmleuk.io.readers.box_reader import REGION_LABEL
from mmleuk.structures import AttributeSchema
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .base_writer import ToolWriter, safe_side
from .json_writers import write_json


class LabelStudioWriter(ToolWriter):
    """Writes tasks of Label Studio with their annotations, to be imported.

    Names are those of :func:`make_label_studio_config`.

    Args:
        schema (AttributeSchema): The attributes of the records.
        classes (Sequence[str]): Names of the classes.
        region_label (str): Label of annotated regions.
        image_prefix (str): Prefix of image names in Label Studio, such as
            ``'/data/local-files/?d=fields/'``; with it, names are quoted.
        as_predictions (bool): Whether to write predictions, which annotators
            start from, instead of annotations.

    Raises:
        ValueError: If a class has the name of the region's label.
    """

    def __init__(
        self,
        schema: AttributeSchema,
        classes: Sequence[str],
        region_label: str = REGION_LABEL,
        image_prefix: str = '',
        as_predictions: bool = False,
    ) -> None:
        super().__init__(schema, classes, region_label)
        self.image_prefix = image_prefix
        self.key = 'predictions' if as_predictions else 'annotations'

    def _write(self, fields: Sequence[FieldRecord], target: str) -> None:
        """Write one JSON file."""
        tasks = []
        for index, (field, regions) in enumerate(
            zip(fields, self._regions(fields))
        ):
            results: List[dict] = []
            for region in regions:
                results.append(
                    self._rectangle(
                        field, region, self.region_label, len(results)
                    )
                )
            for cell in field.cells:
                results += self._cell(field, cell, len(results))
            name = field.file_name
            if self.image_prefix:
                name = self.image_prefix + quote(name)
            tasks.append(
                {
                    'id': index,
                    'data': {'image': name},
                    self.key: [{'result': results}],
                }
            )
        write_json(target, tasks)

    def _rectangle(
        self, field: FieldRecord, box: Box, label: str, number: int
    ) -> dict:
        """Write one rectangle."""
        x1, y1, x2, y2 = box
        return dict(
            id=f'r{number}',
            type='rectanglelabels',
            from_name='label',
            to_name='image',
            original_width=field.width,
            original_height=field.height,
            image_rotation=0,
            value=dict(
                x=x1 / field.width * 100,
                y=y1 / field.height * 100,
                width=safe_side(x2 - x1) / field.width * 100,
                height=safe_side(y2 - y1) / field.height * 100,
                rotation=0,
                rectanglelabels=[label],
            ),
        )

    def _cell(
        self, field: FieldRecord, cell: CellRecord, number: int
    ) -> List[dict]:
        """Write the results of one cell."""
        rectangle = self._rectangle(field, cell.bbox, cell.category, number)
        chosen = [
            (attribute.name, value)
            for attribute, value in self.known_values(cell)
        ]
        if cell.ignored:
            chosen.append((IGNORED, IGNORED))
        place = {
            key: value
            for key, value in rectangle['value'].items()
            if key != 'rectanglelabels'
        }
        return [rectangle] + [
            dict(
                rectangle,
                type='choices',
                from_name=name,
                value=dict(place, choices=[value]),
            )
            for name, value in chosen
        ]
