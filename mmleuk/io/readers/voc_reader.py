# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path, PurePath, PureWindowsPath
from typing import Iterator, List, Optional, Tuple

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import Size
from mmleuk.io.safe_xml import Element, parse_xml
from mmleuk.io.source_files import parse_number
from mmleuk.structures.record import Box

from .box_reader import BoxReader, Shape, StatedImage, surround


class VocReader(BoxReader):
    """Reads Pascal VOC: a folder with one XML file for each image.

    ``difficult`` objects are ignored cells, as in MMDetection. Attributes are
    read where CVAT and Datumaro write them, in the ``attributes`` of an
    object. Images without a file are not part of the export, nor are those of
    files that are no XML.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        origin (int): Coordinate of the first pixel. 0: edges of pixels, as
            CVAT, LabelImg and this package write them; 1: the challenge's own
            files, in which ``xmin`` and ``xmax`` number the first and the
            last pixel of the box.
        kwargs (dict): Keyword arguments of :class:`BoxReader`.

    Raises:
        ValueError: If ``origin`` is neither 0 nor 1.
    """

    def __init__(self, *args, origin: int = 0, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if origin not in (0, 1):
            raise ValueError(f'origin is {origin!r}, expected 0 or 1')
        self.origin = origin

    def _read_images(self, source: str) -> Iterator[StatedImage]:
        """List the images of all XML files below a folder."""
        paths = sorted(
            path
            for path in Path(source).rglob('*.xml')
            if not path.name.startswith('.')
        )
        if not paths:
            raise FileNotFoundError(
                f'{source}: no XML files are there, expected a folder of '
                'Pascal VOC annotations'
            )
        unreadable: List[AnnotationError] = []
        for path in paths:
            name = path.relative_to(source).as_posix()
            try:
                root = parse_xml(str(path), self.max_bytes)
            except AnnotationError as fault:
                unreadable.append(fault)
                self.issues.add(
                    'files that can not be read left out with their images',
                    str(fault),
                )
                self.unread[f'file {name}'] += 1
                continue
            own_name = name.removesuffix('.xml')
            yield self._read_image(root, str(path), own_name)
        if len(unreadable) == len(paths):
            raise unreadable[0]

    def _read_image(
        self, root: Element, path: str, own_name: str
    ) -> StatedImage:
        """Read what one file states of its image."""
        file_name = root.find('filename')
        if root.tag != 'annotation' or file_name is None:
            raise AnnotationError(
                path,
                root.where,
                'expected an <annotation> with a <filename>',
                'Keep only Pascal VOC files in the folder',
            )
        size: Optional[Size] = None
        element = root.find('size')
        if element is not None:
            width, height = (
                int(_read_number(element, side, path))
                for side in ('width', 'height')
            )
            size = width, height
        text = file_name.text or ''
        place = f'{path}, {file_name.where}'
        name = self.images.find(text, place, own_name)
        stems = {PureWindowsPath(part).stem for part in (name, text.strip())}
        if len(stems) > 1 and PurePath(own_name).name in stems:
            self.issues.add(
                'images found by the name of their XML instead of <filename>',
                place,
            )
        # Tools that do not know the size write 0.
        size = size if size and all(size) else None
        return StatedImage(name, size, path, root.where, root)

    def _read_shapes(self, image: StatedImage, size: Size) -> Iterator[Shape]:
        """Read the objects of one image."""
        for element in image.shapes.findall('object'):
            where = element.where
            difficult = element.findtext('difficult', '').strip() or '0'
            if difficult not in ('0', '1'):
                raise AnnotationError(
                    image.source,
                    element.find('difficult').where,
                    f'got {difficult[:80]!r}, expected 0 or 1',
                    'Correct it',
                )
            box, outline = self._read_outline(element, image.source)
            label = element.findtext('name', '')
            attributes = [
                (item.findtext('name', ''), item.findtext('value'))
                for item in element.iterfind('attributes/attribute')
            ]
            ignored = difficult == '1'
            yield Shape(label, box, attributes, where, ignored, outline)

    def _read_outline(
        self, element: Element, source: str
    ) -> Tuple[Optional[Box], str]:
        """Find the box of an object, and what it is drawn around."""
        box = element.find('bndbox')
        if box is not None:
            x1, y1, x2, y2 = (
                _read_number(box, side, source)
                for side in ('xmin', 'ymin', 'xmax', 'ymax')
            )
            return (x1 - self.origin, y1 - self.origin, x2, y2), ''
        polygon = element.find('polygon')
        if polygon is None:
            return None, ''
        # <x1>, <y1>, <x2> ... or <pt> with <x> and <y>.
        xs, ys = (
            [
                parse_number(item.text, f'{source}, {item.where}', item.tag)
                for item in polygon.iter()
                if item.tag[0] == axis
                and item.tag[1:].isdecimal() | (item.tag == axis)
            ]
            for axis in 'xy'
        )
        return surround(list(zip(xs, ys))), 'polygons'


def _read_number(parent: Element, tag: str, source: str) -> float:
    """Read the number in a child."""
    return parse_number(parent.findtext(tag), f'{source}, {parent.where}', tag)
