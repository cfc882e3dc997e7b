# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Optional

from mmengine import fileio

from mmleuk.io.errors import AnnotationError
from mmleuk.io.safe_xml import Element, parse_xml
from mmleuk.io.source_files import parse_number

from .box_reader import BoxReader, Shape, Size, StatedImage


class VocReader(BoxReader):
    """Reads Pascal VOC: a folder with one XML file an image.

    ``difficult`` objects are ignored cells, as in MMDetection. Attributes are
    read where CVAT and Datumaro write them, in the ``attributes`` of an
    object. Images without a file are not part of the export.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        origin (int): Coordinate of the first pixel. 0: edges of pixels, as
            CVAT, LabelImg and this package write them; 1: the challenge's own
            files, in which ``xmin`` and ``xmax`` number the first and the
            last pixel of the box. Defaults to 0.
        kwargs (dict): Keyword arguments of :class:`BoxReader`.

    Raises:
        ValueError: If ``origin`` is neither 0 nor 1.
    """

    def __init__(self, *args, origin: int = 0, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if origin not in (0, 1):
            raise ValueError(f'origin is {origin!r}, expected 0 or 1')
        self.origin = origin

    def _read_images(self, source: str) -> List[StatedImage]:
        """List the images of an export.

        Args:
            source (str): The folder of XML files; those in its subfolders
                count.

        Returns:
            list[StatedImage]: The images.

        Raises:
            AnnotationError: If a file is another XML.
            FileNotFoundError: If there are no XML files.
        """
        names = []
        if fileio.isdir(source, self.backend_args):
            names = sorted(
                fileio.list_dir_or_file(
                    source,
                    list_dir=False,
                    suffix='.xml',
                    recursive=True,
                    backend_args=self.backend_args,
                )
            )
        if not names:
            raise FileNotFoundError(
                f'{source}: no XML files are there, expected a folder of '
                'Pascal VOC annotations'
            )
        return [self._read_file(source, name) for name in names]

    def _read_file(self, folder: str, name: str) -> StatedImage:
        """Read what one file says of its image."""
        path = fileio.join_path(folder, name, backend_args=self.backend_args)
        root = parse_xml(path, self.max_bytes, self.backend_args)
        file_name = root.find('filename')
        if root.tag != 'annotation' or file_name is None:
            raise AnnotationError(
                path,
                root.where,
                'expected an <annotation> with a <filename>',
                'Keep only Pascal VOC files in the folder',
            )
        size = root.find('size')
        stated: Optional[Size] = None
        if size is not None:
            stated = tuple(
                int(self._number(size, side, path))
                for side in ('width', 'height')
            )
            # Tools that do not know the size write 0.
            stated = stated if all(stated) else None
        return StatedImage(
            self.images.find(file_name.text, path, file_name.where),
            stated,
            path,
            root.where,
            root,
        )

    @staticmethod
    def _number(parent: Element, tag: str, source: str) -> float:
        """Read the number in a child."""
        child = parent.find(tag)
        return parse_number(
            None if child is None else child.text, source, parent.where, tag
        )

    def _read_shapes(self, image: StatedImage, size: Size) -> List[Shape]:
        """Read the rectangles of one image.

        Args:
            image (StatedImage): The image.
            size (tuple[int]): Its (width, height) in pixels.

        Returns:
            list[Shape]: Regions and cells, in file order.

        Raises:
            AnnotationError: If an object has no box.
        """
        shapes = []
        for element in image.shapes.all('object'):
            box = element.find('bndbox')
            if box is None:
                self._drop_shape(
                    'shapes that are no rectangles', image, element.where
                )
                continue
            x1, y1, x2, y2 = (
                self._number(box, side, image.source)
                for side in ('xmin', 'ymin', 'xmax', 'ymax')
            )
            label = element.find('name')
            attributes = element.find('attributes')
            shapes.append(
                Shape(
                    '' if label is None else label.text,
                    (x1 - self.origin, y1 - self.origin, x2, y2),
                    []
                    if attributes is None
                    else [
                        self._read_attribute(item)
                        for item in attributes.all('attribute')
                    ],
                    element.where,
                    ignored=self._is_difficult(element, image.source),
                )
            )
        return shapes

    @staticmethod
    def _read_attribute(element: Element) -> tuple:
        """Read the name and value of an attribute."""
        name, value = element.find('name'), element.find('value')
        return (
            '' if name is None else name.text,
            None if value is None else value.text,
        )

    @staticmethod
    def _is_difficult(element: Element, source: str) -> bool:
        """Read the flag that makes an object no target."""
        flag = element.find('difficult')
        text = '0' if flag is None else flag.text.strip() or '0'
        if text not in ('0', '1'):
            raise AnnotationError(
                source,
                flag.where,
                f'got {text[:80]!r}, expected 0 or 1',
                'Correct it',
            )
        return text == '1'
