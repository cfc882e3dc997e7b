# Copyright (c) mmleuk authors. All rights reserved.
import math
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Sequence

from pycocotools import mask as coco_mask

from mmleuk.io.attribute_names import AttributeNames
from mmleuk.io.image_folder import ExportImages
from mmleuk.io.repair import MIN_SIDE, RawCell
from mmleuk.io.source_files import find_name_fault
from mmleuk.structures.record import FieldRecord

from .lld_json import (
    MAX_SIDE,
    NESTED_KEY,
    SparseJsonReader,
    is_numbers,
    to_floats,
)


class CocoReader(SparseJsonReader):
    """Reads COCO whose ``attributes`` state values by name.

    So do the COCO exports of CVAT and Datumaro, and :class:`CocoWriter`.
    Values that stand directly in an annotation are LLD's codes. The box of an
    annotation without ``bbox`` is that of its ``segmentation``. If neither
    states a box, the image counts as not annotated.

    Args:
        args (tuple): Arguments of :class:`SparseJsonReader`; its ``images``
            are :class:`ExportImages`.
        attribute_map (Mapping, optional): See :class:`AttributeNames`.
        kwargs (dict): Keyword arguments of :class:`SparseJsonReader`.
    """

    images: ExportImages

    def __init__(
        self, *args, attribute_map: Optional[Mapping] = None, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self.names = AttributeNames(self.schema, attribute_map)
        self.unread = self.names.unread

    def _read(self, source: str) -> List[FieldRecord]:
        """Read one JSON file."""
        self._without_box: Dict[Optional[str], str] = {}
        fields = super()._read(source)
        self.names.check()
        for index, field in enumerate(fields):
            record = self._without_box.get(field.file_name)
            if record is not None:
                fields[index] = replace(field, annotated_regions=())
                self.issues.add(
                    'images with cells of unknown place taken as not '
                    'annotated',
                    f'{source}, {record}',
                )
        return fields

    def _read_images(self, images: Sequence[Any], source: str) -> tuple:
        """Group image entries by the file that their name is found to be."""
        found: Dict[str, str] = {}
        entries = []
        for index, image in enumerate(images):
            if isinstance(image, dict):
                stated = image.get('file_name')
                if isinstance(stated, str) and not find_name_fault(stated):
                    if stated not in found:
                        found[stated] = self.images.find(
                            stated, f'{source}, image entry {index}'
                        )
                    image = {**image, 'file_name': found[stated]}
            entries.append(image)
        grouped, names = super()._read_images(entries, source)
        self._files = {str(key): name for key, name in names.items()}
        return grouped, names

    def _read_cell(
        self, annotation: dict, *args, **kwargs
    ) -> Optional[RawCell]:
        """Read one annotation, None where it has no box."""
        source, record = args[-2:]
        annotation = dict(annotation)
        box = annotation.get('bbox')
        if not is_numbers(box, 4) or 0 in box[2:]:
            box = _find_box(annotation.get('segmentation')) or box
            annotation['bbox'] = box
        nested = annotation.get(NESTED_KEY)
        ignored = False
        if isinstance(nested, dict):
            codes, ignored = self.names.read(
                nested.items(), f'{source}, {record}', self.issues
            )
            annotation[NESTED_KEY] = dict(zip(self.schema.names, codes))
        cell = super()._read_cell(annotation, *args, **kwargs)
        if cell is None or not all(map(math.isfinite, cell.bbox)):
            file_name = self._files.get(str(annotation.get('image_id')))
            self._without_box[file_name] = record
            return cell
        x1, y1, x2, y2 = cell.bbox
        # A negative width or height exchanges corners.
        box = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        return replace(cell, bbox=box, ignored=cell.ignored or ignored)


def _find_box(segmentation: object) -> Optional[List[float]]:
    """Find the box (x, y, width, height) of polygons or an encoded mask."""
    if isinstance(segmentation, list):
        polygons = segmentation
        if not any(isinstance(part, list) for part in segmentation):
            polygons = [segmentation]
        if not all(
            isinstance(part, list)
            and len(part) % 2 == 0
            and is_numbers(part, len(part))
            for part in polygons
        ):
            return None
        numbers = [number for part in polygons for number in to_floats(part)]
        if not numbers or not all(map(math.isfinite, numbers)):
            return None
        xs, ys = numbers[::2], numbers[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    elif isinstance(segmentation, dict):
        size = segmentation.get('size')
        if not is_numbers(size, 2) or not all(
            type(side) is int and 0 < side < MAX_SIDE for side in size
        ):
            return None
        try:
            if isinstance(segmentation.get('counts'), list):
                segmentation = coco_mask.frPyObjects(segmentation, *size)
            box = coco_mask.toBbox(segmentation).tolist()
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
    else:
        return None
    return box if min(box[2:]) >= MIN_SIDE else None
