# Copyright (c) mmleuk authors. All rights reserved.
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmleuk.io.attribute_names import AttributeNames
from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import ANNOTATION_OF_DROPPED, SIZE_WRONG
from mmleuk.io.issue_log import FaultRateCheck
from mmleuk.io.readers import BaseReader
from mmleuk.io.repair import ROUNDING, RawCell, repair_field
from mmleuk.io.source_files import MAX_BYTES, ExportImages
from mmleuk.structures.record import Box, FieldRecord, normalise_name

# The label whose rectangles are the annotated region of their image.
REGION_LABEL = 'annotated region'

# What an image without such a rectangle is: annotated as a whole, or not at
# all; `auto` tells by whether any image of the export has one.
UNMARKED = ('auto', 'whole', 'nothing')

Size = Tuple[int, int]


@dataclass
class StatedImage:
    """One image as an export states it.

    Args:
        name (str): Its name in the image folder.
        size (tuple[int], optional): (width, height) in pixels as stated.
        source (str): The file that states it.
        where (str): The record in that file.
        shapes (object): What the reader makes shapes of.
        annotated (bool): Whether somebody has annotated it. Defaults to True.
    """

    name: str
    size: Optional[Size]
    source: str
    where: str
    shapes: Any
    annotated: bool = True


@dataclass
class Shape:
    """One rectangle as an export states it.

    Args:
        label (str): Its label.
        box (tuple[float]): (x1, y1, x2, y2) in pixels.
        attributes (list[tuple]): Names and values.
        where (str): The record.
        ignored (bool): Whether the export ignores it. Defaults to False.
        turned (bool): Whether ``box`` is the upright box around a rotated
            rectangle. Defaults to False.
    """

    label: str
    box: Box
    attributes: List[Tuple[str, object]]
    where: str
    ignored: bool = False
    turned: bool = False


class BoxReader(BaseReader):
    """Reads exports of labelling tools: labelled rectangles with attributes.

    Rectangles of one reserved label are no cells but the annotated regions of
    their image. One over the whole image states that all of it is annotated.

    Args:
        schema (AttributeSchema): The attributes.
        images (ExportImages): The images.
        region_label (str): The reserved label. Defaults to ``REGION_LABEL``.
        unmarked (str): What an image without a region is: ``'whole'``,
            annotated as a whole; ``'nothing'``, not annotated; ``'auto'``,
            not annotated if some image of the export has a region, else as a
            whole. Defaults to 'auto'.
        attribute_map (Mapping, optional): See :class:`AttributeNames`.
            Defaults to None.
        max_bytes (int): Largest file to read. Defaults to ``MAX_BYTES``.
        kwargs (dict): Other arguments of :class:`BaseReader`.

    Attributes:
        names (AttributeNames): Counts attributes that are left out.

    Raises:
        ValueError: If ``unmarked`` is none of ``UNMARKED``.
    """

    images: ExportImages

    def __init__(
        self,
        schema,
        images: ExportImages,
        region_label: str = REGION_LABEL,
        unmarked: str = 'auto',
        attribute_map=None,
        max_bytes: int = MAX_BYTES,
        **kwargs,
    ) -> None:
        super().__init__(schema, images, **kwargs)
        if unmarked not in UNMARKED:
            raise ValueError(
                f'unmarked is {unmarked!r}, expected one of {UNMARKED}'
            )
        self.region_label = normalise_name(region_label)
        self.unmarked = unmarked
        self.names = AttributeNames(schema, attribute_map)
        self.max_bytes = max_bytes

    @abstractmethod
    def _read_images(self, source: str) -> List[StatedImage]:
        """List the images of an export.

        Args:
            source (str): The file or folder.

        Returns:
            list[StatedImage]: The images, each once.
        """

    @abstractmethod
    def _read_shapes(self, image: StatedImage, size: Size) -> List[Shape]:
        """Read the rectangles of one image.

        Args:
            image (StatedImage): The image.
            size (tuple[int]): Its (width, height) in pixels.

        Returns:
            list[Shape]: Regions and cells, in file order.
        """

    def read(self, source: str) -> List[FieldRecord]:
        """Read all fields of one export.

        Args:
            source (str): The file or folder.

        Returns:
            list[FieldRecord]: One record an image that can be used.

        Raises:
            AnnotationError: If a record can't be understood.
            FileNotFoundError: If the export or most images are not there.
        """
        doubt = FaultRateCheck(self.issues, source)
        stated = self._read_images(source)
        self.issues.seen['images'] += len(stated)
        self._check_repeats(stated)
        sizes = self.look_at_images(
            {item.name: item.size for item in stated}, source
        )
        images = [item for item in stated if item.name in sizes]
        for image in stated:
            if image.name not in sizes:
                self._drop_image(image)
        regions: Dict[str, List[Box]] = {}
        cells: Dict[str, List[RawCell]] = {}
        for image in images:
            size = sizes[image.name]
            if image.size not in (None, size):
                self.issues.add(
                    SIZE_WRONG,
                    f'{image.source}, {image.where}: {image.size} stated, '
                    f'{size} found',
                )
            regions[image.name], cells[image.name] = self._sort_shapes(
                image, self._read_shapes(image, size)
            )
        self.names.check()
        doubt.check()

        whole = self.unmarked == 'whole' or (
            self.unmarked == 'auto' and not any(regions.values())
        )
        return [
            repair_field(
                image.name,
                sizes[image.name],
                cells[image.name],
                self.schema,
                image.source,
                self.issues,
                regions=self._choose_regions(
                    image, regions[image.name], sizes[image.name], whole
                ),
            )
            for image in images
        ]

    @staticmethod
    def _check_repeats(images: Sequence[StatedImage]) -> None:
        """Refuse two records of one image.

        Raises:
            AnnotationError: If there are two.
        """
        first: Dict[str, StatedImage] = {}
        for image in images:
            other = first.setdefault(image.name, image)
            if other is not image:
                raise AnnotationError(
                    image.source,
                    image.where,
                    f'the image {image.name} is annotated here and in '
                    f'{other.source}, {other.where}, expected one record an '
                    'image',
                    'Keep one of them',
                )

    def _sort_shapes(
        self, image: StatedImage, shapes: Sequence[Shape]
    ) -> Tuple[List[Box], List[RawCell]]:
        """Part annotated regions from cells."""
        regions, cells = [], []
        for shape in shapes:
            if not normalise_name(shape.label):
                raise AnnotationError(
                    image.source,
                    f'{image.where}, {shape.where}',
                    'the rectangle has no label',
                    'Label or delete it',
                )
            if normalise_name(shape.label) == self.region_label:
                if shape.turned:
                    raise AnnotationError(
                        image.source,
                        f'{image.where}, {shape.where}',
                        'the annotated region is rotated, expected an '
                        'upright rectangle',
                        'Set its rotation to 0',
                    )
                regions.append(shape.box)
                continue
            where = f'{image.where}, {shape.where}'
            self.issues.seen['annotations'] += 1
            if shape.turned:
                self.issues.add(
                    'rotated boxes replaced by upright ones around them',
                    f'{image.source}, {where}',
                )
            codes, ignored = self.names.read(
                shape.attributes, image.source, where, self.issues
            )
            cells.append(
                RawCell(
                    shape.box,
                    normalise_name(shape.label),
                    codes,
                    ignored or shape.ignored,
                    where,
                )
            )
        return regions, cells

    def _choose_regions(
        self,
        image: StatedImage,
        regions: List[Box],
        size: Size,
        whole: bool,
    ) -> Optional[List[Box]]:
        """Say which part of an image is annotated; None for all of it."""
        if any(
            x1 <= ROUNDING
            and y1 <= ROUNDING
            and x2 >= size[0] - ROUNDING
            and y2 >= size[1] - ROUNDING
            for x1, y1, x2, y2 in regions
        ):
            return None
        if regions:
            return regions
        if whole and image.annotated:
            return None
        self.issues.add(
            'images without an annotated region taken as not annotated'
            if image.annotated
            else 'images that nobody has annotated taken as not annotated',
            f'{image.source}, {image.where}',
        )
        return []

    def _drop_image(self, image: StatedImage) -> None:
        """Count the cells of an image that can't be used."""
        # Their boxes do not matter, so neither does the size.
        _, cells = self._sort_shapes(image, self._read_shapes(image, (1, 1)))
        if cells:
            self.issues.add(
                ANNOTATION_OF_DROPPED,
                f'{image.source}, {image.where}',
                len(cells),
            )

    def _drop_shape(self, kind: str, image: StatedImage, where: str) -> None:
        """Count a shape that can't be a cell's box."""
        self.issues.seen['annotations'] += 1
        self.issues.add(
            f'{kind} dropped', f'{image.source}, {image.where}, {where}'
        )


def turn_box(box: Box, degrees: float, pivot: Tuple[float, float]) -> Box:
    """Find the upright box around a rotated rectangle.

    Args:
        box (tuple[float]): (x1, y1, x2, y2) before the rotation, in pixels.
        degrees (float): Rotation, clockwise as seen in the image.
        pivot (tuple[float]): What it is rotated about, (x, y) in pixels.

    Returns:
        tuple[float]: (x1, y1, x2, y2) in pixels.
    """
    x1, y1, x2, y2 = box
    sine, cosine = (
        function(math.radians(degrees)) for function in (math.sin, math.cos)
    )
    xs, ys = [], []
    for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)):
        x, y = x - pivot[0], y - pivot[1]
        xs.append(pivot[0] + x * cosine - y * sine)
        ys.append(pivot[1] + x * sine + y * cosine)
    return min(xs), min(ys), max(xs), max(ys)
