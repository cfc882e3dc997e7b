# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmleuk.structures import AttributeSchema
from mmleuk.structures.record import Box, CellRecord, FieldRecord

from .issue_log import IssueLog
from .readers.lld_json import (
    REGIONS_KEY,
    UNKNOWN,
    CodeReader,
    is_key,
    is_numbers,
    read_categories,
)


class LabelFile:
    """LLD's JSON, of which parts are taken and all else is kept as it is.

    Unlike a reader it opens no image and repairs nothing: :meth:`take` copies
    image entries and annotations of the file, with all of their keys.

    Args:
        content (dict): What :func:`load_json` returns.
        schema (AttributeSchema, optional): The attributes to read. Without
            it, the records have none.
        boxes (bool): Whether sizes of images, boxes and regions are read. If
            not, all images are of 1 x 1 pixels and cells fill them.

    Attributes:
        fields (list[FieldRecord]): One record an image, in file order.
            ``extra`` of a cell is its annotation.
        others (list[dict]): Annotations that are in no record: of images not
            listed, and boxes without an area inside the image.

    Raises:
        ValueError: If an image entry or, with ``boxes``, an annotation lacks
            what is read.
    """

    def __init__(
        self,
        content: dict,
        schema: Optional[AttributeSchema] = None,
        boxes: bool = True,
    ) -> None:
        self.content = content
        self.fields: List[FieldRecord] = []
        self.others: List[dict] = []
        self._boxes = boxes
        self._codes = schema and CodeReader(schema, IssueLog())
        self._categories = read_categories(content['categories'], 'labels')
        entries = self._group_images()
        sizes = {name: self._size(group) for name, group in entries.items()}
        cells = self._read_cells(sizes)
        for name, repeats in entries.items():
            regions = None
            if boxes and REGIONS_KEY in repeats[0]:
                regions = tuple(map(tuple, repeats[0][REGIONS_KEY]))
            self.fields.append(
                FieldRecord(
                    name,
                    *sizes[name],
                    tuple(cells[name]),
                    regions,
                    repeats[0]['id'],
                )
            )

    def take(
        self, fields: Sequence[FieldRecord], keep_others: bool = False
    ) -> dict:
        """Take images and annotations out of the file.

        Args:
            fields (Sequence[FieldRecord]): Some of the records, with some of
                their cells, maybe with new regions.
            keep_others (bool): Whether to keep :attr:`others`.

        Returns:
            dict: The content of a file; its annotations are the same objects.
        """
        taken = {field.file_name: field for field in fields}
        kept = {id(cell.extra) for field in fields for cell in field.cells}
        if keep_others:
            kept.update(map(id, self.others))
        images = []
        for image in self.content['images']:
            if image['file_name'] in taken:
                regions = taken[image['file_name']].annotated_regions
                if self._boxes and regions is not None:
                    image = {**image, REGIONS_KEY: list(map(list, regions))}
                images.append(image)
        annotations = [
            annotation
            for annotation in self.content['annotations']
            if id(annotation) in kept
        ]
        return {**self.content, 'images': images, 'annotations': annotations}

    def _group_images(self) -> Dict[str, List[dict]]:
        """Group image entries by file name."""
        entries: Dict[str, List[dict]] = {}
        self._names: Dict[Any, str] = {}
        for index, image in enumerate(self.content['images']):
            image_id, name = image.get('id'), image.get('file_name')
            if not (isinstance(name, str) and name and is_key(image_id)):
                raise ValueError(
                    f'image entry {index} has the id {image_id!r} and the '
                    f'file_name {name!r}, expected a number or a string, and '
                    'a string. State both.'
                )
            if self._names.setdefault(image_id, name) != name:
                raise ValueError(
                    f'the image id {image_id!r} stands for '
                    f'{self._names[image_id]} and {name}, so that cells can '
                    'belong to either. Give each image an id of its own.'
                )
            entries.setdefault(name, []).append(image)
        return entries

    def _size(self, repeats: Sequence[dict]) -> Tuple[int, int]:
        """Take the (width, height) in pixels on which all entries agree."""
        if not self._boxes:
            return 1, 1
        sizes = {
            (image.get('width'), image.get('height')) for image in repeats
        }
        size = sizes.pop()
        if sizes or not all(type(side) is int and side > 0 for side in size):
            raise ValueError(
                f'image {repeats[0]["file_name"]} has the width and height '
                f'{", ".join(map(str, [size, *sizes]))}, expected one pair of '
                'whole numbers above 0. State the size of the image file.'
            )
        return size

    def _read_cells(
        self, sizes: Mapping[str, Tuple[int, int]]
    ) -> Dict[str, List[CellRecord]]:
        """Read the cells by file name, clipped to their images."""
        cells: Dict[str, List[CellRecord]] = {name: [] for name in sizes}
        for index, annotation in enumerate(self.content['annotations']):
            record = f'annotation {index} (id {annotation.get("id")!r})'
            image_id, category_id = (
                annotation.get(key) if is_key(annotation.get(key)) else None
                for key in ('image_id', 'category_id')
            )
            if image_id is None and self._boxes:
                raise ValueError(
                    f'{record} has the image_id '
                    f'{annotation.get("image_id")!r}, expected the id of an '
                    'image. State it.'
                )
            name = self._names.get(image_id)
            bbox = None
            if name is not None:
                bbox = self._read_bbox(annotation, sizes[name], record)
            if bbox is None:
                self.others.append(annotation)
                continue
            codes: Tuple[int, ...] = ()
            category = self._categories.get(category_id, UNKNOWN)
            if self._codes:
                codes = self._codes.schema.clean(
                    self._codes.read(annotation, 'labels', record), category
                )
            cells[name].append(
                CellRecord(
                    bbox,
                    category,
                    codes,
                    bool(
                        annotation.get('iscrowd') or annotation.get('ignore')
                    ),
                    annotation,
                )
            )
        return cells

    def _read_bbox(
        self, annotation: dict, size: Tuple[int, int], record: str
    ) -> Optional[Box]:
        """Read a box (x1, y1, x2, y2), None if none of it is in the image."""
        if not self._boxes:
            return 0, 0, 1, 1
        bbox = annotation.get('bbox')
        if not is_numbers(bbox, 4) or not all(map(math.isfinite, bbox)):
            raise ValueError(
                f'{record} has the bbox {bbox!r}, expected the four finite '
                'numbers x, y, width, height in pixels. Correct it or delete '
                'the record.'
            )
        x, y, width, height = bbox
        corners = x, y, x + width, y + height
        x1, y1, x2, y2 = (
            min(max(value, 0), side) for value, side in zip(corners, size * 2)
        )
        return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
