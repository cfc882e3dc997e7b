# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Optional

from mmleuk.io.errors import AnnotationError
from mmleuk.io.safe_xml import Element, parse_xml
from mmleuk.io.source_files import parse_number

from .box_reader import BoxReader, Shape, Size, StatedImage, turn_box

# Shapes of CVAT that are not rectangles.
OTHER_SHAPES = (
    'polygon',
    'polyline',
    'points',
    'ellipse',
    'cuboid',
    'mask',
    'skeleton',
)


class CvatReader(BoxReader):
    """Reads "CVAT for images 1.1" (XML).

    The format: https://docs.cvat.ai/docs/other/xml_format. Of shapes, boxes
    are read; a rotated box becomes the upright box around it.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        kwargs (dict): Keyword arguments of :class:`BoxReader`.
    """

    def _read_images(self, source: str) -> List[StatedImage]:
        """List the images of an export.

        Args:
            source (str): ``annotations.xml``.

        Returns:
            list[StatedImage]: The images.

        Raises:
            AnnotationError: If it is another XML, or a video's.
        """
        root = parse_xml(source, self.max_bytes, self.backend_args)
        track = root.find('track')
        if root.tag != 'annotations' or track is not None:
            raise AnnotationError(
                source,
                (track or root).where,
                f'got <{(track or root).tag}>, expected the <image> elements '
                'of an <annotations>',
                'Export as "CVAT for images 1.1"',
            )
        images = []
        for element in root.all('image'):
            name = element.attributes.get('name', '')
            where = f'{element.where} {name[:120]!r}'
            images.append(
                StatedImage(
                    self.images.find(name, source, where),
                    self._read_size(element, source, where),
                    source,
                    where,
                    element,
                )
            )
        return images

    @staticmethod
    def _read_size(
        element: Element, source: str, where: str
    ) -> Optional[Size]:
        """Read the size of an image, if it is stated."""
        if not {'width', 'height'} <= set(element.attributes):
            return None
        return tuple(
            int(parse_number(element.attributes[side], source, where, side))
            for side in ('width', 'height')
        )

    def _read_shapes(self, image: StatedImage, size: Size) -> List[Shape]:
        """Read the rectangles of one image.

        Args:
            image (StatedImage): The image.
            size (tuple[int]): Its (width, height) in pixels.

        Returns:
            list[Shape]: Regions and cells, in file order.

        Raises:
            AnnotationError: If a coordinate is no number.
        """
        shapes = []
        for element in image.shapes.children:
            if element.tag == 'box':
                shapes.append(self._read_box(element, image))
            elif element.tag in OTHER_SHAPES:
                self._drop_shape(
                    'shapes that are no rectangles', image, element.where
                )
            else:
                self.names.unread[f'<{element.tag}> of images'] += 1
        return shapes

    @staticmethod
    def _read_box(element: Element, image: StatedImage) -> Shape:
        """Read one box."""
        record = f'{image.where}, {element.where}'

        def number(key: str, default: Optional[str] = None) -> float:
            value = element.attributes.get(key, default)
            return parse_number(value, image.source, record, key)

        box = number('xtl'), number('ytl'), number('xbr'), number('ybr')
        rotation = number('rotation', '0') % 360
        if rotation:
            pivot = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            box = turn_box(box, rotation, pivot)
        return Shape(
            element.attributes.get('label', ''),
            box,
            [
                (item.attributes.get('name', ''), item.text)
                for item in element.all('attribute')
            ],
            element.where,
            turned=bool(rotation),
        )
