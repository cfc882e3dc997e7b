# Copyright (c) mmleuk authors. All rights reserved.
import re
from typing import Iterator, Optional, Tuple

import shapely
from shapely.affinity import rotate

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import Size
from mmleuk.io.safe_xml import Element, parse_xml
from mmleuk.io.source_files import parse_number
from mmleuk.structures.record import Box

from .box_reader import (
    BoxReader,
    Shape,
    StatedImage,
    is_rectangle,
    surround,
    surround_ellipse,
)


class CvatReader(BoxReader):
    """Reads "CVAT for images 1.1" (XML).

    The format: https://docs.cvat.ai/docs/other/xml_format. Cells are
    the upright boxes of boxes, polygons, ellipses, masks and cuboids. A
    polyline is an ignored cell, since it may be a measure. The extent of
    points and skeletons is unknown. Arguments are those of
    :class:`BoxReader`.
    """

    def _read_images(self, source: str) -> Iterator[StatedImage]:
        """List the images of ``annotations.xml``."""
        root = parse_xml(source, self.max_bytes)
        track = root.find('track')
        if root.tag != 'annotations' or track is not None:
            wrong = root if track is None else track
            raise AnnotationError(
                source,
                wrong.where,
                f'got <{wrong.tag}>, expected the <image> elements of an '
                '<annotations>',
                'Export as "CVAT for images 1.1"',
            )
        for element in root.findall('image'):
            name = element.get('name', '')
            where = f'{element.where} {name[:120]!r}'
            place = f'{source}, {where}'
            subset = element.get('subset')
            if name and subset:
                # So does CVAT store the images of a project.
                name = f'images/{subset}/{name}'
            size = None
            if {'width', 'height'} <= set(element.attrib):
                width, height = (
                    int(parse_number(element.get(side), place, side))
                    for side in ('width', 'height')
                )
                size = width, height
            name = self.images.find(name, place)
            yield StatedImage(name, size, source, where, element)

    def _read_shapes(self, image: StatedImage, size: Size) -> Iterator[Shape]:
        """Read the shapes of one image."""
        for element in image.shapes:
            kind = element.tag
            if kind == 'tag' or (
                kind != 'box' and 'label' not in element.attrib
            ):
                self.unread[f'<{kind[:40]}> of images'] += 1
                continue
            where = element.where
            box, outline = _read_outline(element, f'{image.place}, {where}')
            label = element.get('label', '')
            attributes = [
                (item.get('name', ''), item.text)
                for item in element.findall('attribute')
            ]
            ignored = kind == 'polyline'
            yield Shape(label, box, attributes, where, ignored, outline)


def _read_outline(element: Element, place: str) -> Tuple[Optional[Box], str]:
    """Find the box around a shape, and what the shape is unless a box."""

    def number(key: str, default: Optional[str] = None) -> float:
        return parse_number(element.get(key, default), place, key)

    kind = element.tag
    if kind == 'box':
        box = number('xtl'), number('ytl'), number('xbr'), number('ybr')
        rotation = number('rotation', '0') % 360
        if not rotation:
            return box, ''
        return rotate(shapely.box(*box), rotation).bounds, 'rotated boxes'
    if kind == 'mask':
        x, y = number('left'), number('top')
        return (x, y, x + number('width'), y + number('height')), 'masks'
    if kind == 'ellipse':
        centre, radii = (
            (number(x), number(y)) for x, y in (('cx', 'cy'), ('rx', 'ry'))
        )
        return (
            surround_ellipse(centre, radii, number('rotation', '0')),
            'ellipses',
        )
    if kind in ('polygon', 'polyline'):
        points = []
        for point in element.get('points', '').split(';'):
            x, y = (
                parse_number(value, place, 'points')
                for value in (*point.split(','), None)[:2]
            )
            points.append((x, y))
        outline = '' if is_rectangle(points) else f'{kind}s'
        return surround(points), outline
    if kind == 'cuboid':
        corners = [
            (number(key), number(f'y{key[1:]}'))
            for key in element.attrib
            if re.fullmatch('x[tb][lr][12]', key)
        ]
        return surround(corners), 'cuboids'
    return None, ''
