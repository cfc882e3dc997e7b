# Copyright (c) mmleuk authors. All rights reserved.
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from mmleuk.io.attribute_names import AttributeNames
from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import ANNOTATION_OF_DROPPED
from mmleuk.io.image_folder import ExportImages, Size
from mmleuk.io.readers import BaseReader
from mmleuk.io.repair import MIN_SIDE, ROUNDING, RawCell, repair_field
from mmleuk.io.source_files import MAX_BYTES
from mmleuk.structures.record import Box, FieldRecord, normalise_name

# The label of the rectangles that are annotated regions.
REGION_LABEL = 'annotated region'

# How an image without an annotated region counts: as annotated in full, not
# at all, or (auto) not at all if any image of the export has a region.
UNMARKED = ('auto', 'whole', 'nothing')

Point = Tuple[float, float]


@dataclass
class StatedImage:
    """One image as an export states it.

    Args:
        name (str): Its name in the image folder.
        size (tuple[int], optional): (width, height) in pixels as stated.
        source (str): The file that states it.
        where (str): The record in that file.
        shapes (object): Its shapes in the form of the export.
        annotated (bool): Whether somebody has annotated it.
    """

    name: str
    size: Optional[Size]
    source: str
    where: str
    shapes: Any
    annotated: bool = True

    @property
    def place(self) -> str:
        """str: File and record, for messages."""
        return f'{self.source}, {self.where}'


@dataclass
class Shape:
    """One labelled shape as an export states it.

    Args:
        label (str): Its label.
        box (tuple[float], optional): (x1, y1, x2, y2) in pixels; None if the
            extent of the shape is unknown.
        attributes (list[tuple]): Names and values.
        where (str): The record.
        ignored (bool): Whether the cell is ignored.
        outline (str): What ``box`` is drawn around, in the plural, such as
            'polygons'; '' if the shape is a box itself.
    """

    label: str
    box: Optional[Box]
    attributes: List[Tuple[str, object]]
    where: str
    ignored: bool = False
    outline: str = ''


class BoxReader(BaseReader):
    """Reads exports of labelling tools: labelled shapes with attributes.

    A cell is the upright box around its shape. If the extent of a shape is
    unknown, the shape is dropped and its image counts as not annotated, so
    that the cell never becomes background.

    Upright rectangles of one reserved label are the annotated regions of their
    image. One over the whole image states that all of it is annotated.

    Args:
        schema (AttributeSchema): The attributes.
        images (ExportImages): The images.
        region_label (str): The reserved label.
        unmarked (str): How an image without a region counts, see ``UNMARKED``.
        attribute_map (Mapping, optional): See :class:`AttributeNames`.
        max_bytes (int): Largest file to read.
        kwargs (dict): Other arguments of :class:`BaseReader`.

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
        self.unread = self.names.unread
        self.max_bytes = max_bytes

    @abstractmethod
    def _read_images(self, source: str) -> Iterator[StatedImage]:
        """List the images of an export."""

    @abstractmethod
    def _read_shapes(self, image: StatedImage, size: Size) -> Iterator[Shape]:
        """Read the regions and cells of an image of (width, height) pixels."""

    def _read(self, source: str) -> List[FieldRecord]:
        """Read one export."""
        images = list(self._read_images(source))
        self.issues.seen['images'] += len(images)
        sizes = self.look_at_images(
            {image.name: image.size for image in images}, source
        )
        read = []
        for image in images:
            size = sizes.get(image.name)
            # The boxes of an image that can't be used are only counted.
            shapes = self._read_shapes(image, size or (1, 1))
            regions, cells = self._sort_shapes(image, shapes)
            if size is None:
                if cells:
                    self.issues.add(
                        ANNOTATION_OF_DROPPED, image.place, len(cells)
                    )
                continue
            read.append((image, size, regions, cells))
        self.names.check()

        whole = self.unmarked == 'whole' or (
            self.unmarked == 'auto'
            and not any(regions for _, _, regions, _ in read)
        )
        return [
            repair_field(
                image.name,
                size,
                cells,
                self.schema,
                image.source,
                self.issues,
                regions=self._choose_regions(image, regions, size, whole),
            )
            for image, size, regions, cells in read
        ]

    def _sort_shapes(
        self, image: StatedImage, shapes: Iterator[Shape]
    ) -> Tuple[Optional[List[Box]], List[RawCell]]:
        """Separate regions and cells; regions are None if they are unclear."""
        regions, cells, is_clear = [], [], True
        for shape in shapes:
            place = f'{image.place}, {shape.where}'
            label = normalise_name(shape.label)
            box, outline = shape.box, shape.outline
            if not label:
                raise AnnotationError(
                    place, '', 'the shape has no label', 'Label it'
                )
            if box is not None:
                (x1, x2), (y1, y2) = sorted(box[::2]), sorted(box[1::2])
                if outline and min(x2 - x1, y2 - y1) < MIN_SIDE:
                    box = None
                elif box != (x1, y1, x2, y2):
                    box = x1, y1, x2, y2
                    self.issues.add(
                        'boxes with exchanged corners put right', place
                    )
            if label == self.region_label:
                if box is None or outline:
                    raise AnnotationError(
                        place,
                        '',
                        f'the annotated region is one of the '
                        f'{outline or "shapes of unknown extent"}, expected '
                        'an upright rectangle',
                        'Draw it as a rectangle, not rotated',
                    )
                regions.append(box)
                continue
            self.issues.seen['annotations'] += 1
            if box is None:
                is_clear = False
                self.issues.add('shapes of unknown extent dropped', place)
                continue
            if outline:
                self.issues.add(
                    f'{outline} replaced by upright boxes around them', place
                )
            codes, ignored = self.names.read(
                shape.attributes, place, self.issues
            )
            ignored |= shape.ignored
            where = f'{image.where}, {shape.where}'
            cells.append(RawCell(box, label, codes, ignored, where))
        return (regions if is_clear else None), cells

    def _choose_regions(
        self,
        image: StatedImage,
        regions: Optional[List[Box]],
        size: Size,
        whole: bool,
    ) -> Optional[List[Box]]:
        """Choose the annotated part of an image; None for all of it."""
        if regions is None:
            reason = 'with shapes of unknown extent'
        elif not image.annotated:
            reason = 'that nobody has annotated'
        elif regions:
            covers_all = any(
                max(x1, y1, size[0] - x2, size[1] - y2) <= ROUNDING
                for x1, y1, x2, y2 in regions
            )
            return None if covers_all else regions
        elif whole:
            return None
        else:
            reason = 'without an annotated region'
        self.issues.add(f'images {reason} taken as not annotated', image.place)
        return []


def surround(points: Sequence[Point]) -> Optional[Box]:
    """Find the box (x1, y1, x2, y2) around points, None without points."""
    if not points:
        return None
    xs, ys = zip(*points)
    return min(xs), min(ys), max(xs), max(ys)


def is_rectangle(points: Sequence[Point]) -> bool:
    """Tell whether a polygon is an upright rectangle.

    Args:
        points (Sequence[tuple[float]]): (x, y) of its corners in order; the
            first may be repeated at the end.
    """
    points = list(dict.fromkeys(points))
    return len(points) == 4 and all(
        (one[0] == two[0]) != (one[1] == two[1])
        for one, two in zip(points, points[1:] + points[:1])
    )


def surround_ellipse(centre: Point, radii: Point, degrees: float) -> Box:
    """Find the upright box around an ellipse.

    Args:
        centre (tuple[float]): (x, y) in pixels.
        radii (tuple[float]): Along x and y before the rotation, in pixels.
        degrees (float): Rotation about the centre.

    Returns:
        tuple[float]: (x1, y1, x2, y2) in pixels.
    """
    angle = math.radians(degrees)
    sine, cosine = math.sin(angle), math.cos(angle)
    half_width = math.hypot(radii[0] * cosine, radii[1] * sine)
    half_height = math.hypot(radii[0] * sine, radii[1] * cosine)
    x, y = centre
    return x - half_width, y - half_height, x + half_width, y + half_height
