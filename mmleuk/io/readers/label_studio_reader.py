# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Dict, List, Optional, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from mmengine import fileio

from mmleuk.io.errors import AnnotationError
from mmleuk.io.source_files import load_bounded_json, parse_number

from .box_reader import BoxReader, Shape, Size, StatedImage, turn_box

# Label Studio puts eight hex digits and a dash before the name of a file that
# was uploaded in the browser.
UPLOAD_PREFIX = 9
HEX_DIGITS = frozenset('0123456789abcdef')

# How the types of results begin that are shapes but no rectangles.
OTHER_SHAPES = ('polygon', 'brush', 'ellipse', 'keypoint', 'vector', 'bitmask')


class LabelStudioReader(BoxReader):
    """Reads the JSON export of Label Studio.

    The format: https://labelstud.io/guide/task_format. Rectangles are read,
    in percent of the image; the results of one region share its id, so that
    per-region choices are the attributes of its cell, under the name of
    their ``Choices``. A rotated rectangle becomes the upright box around it.
    Annotations that were cancelled are not read, nor are predictions.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        image_key (str): Key of the image in the ``data`` of a task. Defaults
            to 'image'.
        annotator (int | str, optional): Whose annotation to take where an
            image has several, by ``completed_by``. Defaults to None: an image
            with several is an error.
        kwargs (dict): Keyword arguments of :class:`BoxReader`.
    """

    def __init__(
        self,
        *args,
        image_key: str = 'image',
        annotator: Optional[object] = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.image_key = image_key
        self.annotator = annotator

    def _read_images(self, source: str) -> List[StatedImage]:
        """List the images of an export.

        Args:
            source (str): The JSON file.

        Returns:
            list[StatedImage]: The images.

        Raises:
            AnnotationError: If it is another JSON.
        """
        tasks = load_bounded_json(source, self.max_bytes, self.backend_args)
        if not isinstance(tasks, list) or not all(
            isinstance(task, dict) for task in tasks
        ):
            raise AnnotationError(
                source,
                '',
                'the content is no list of tasks',
                'Export as "JSON" from Label Studio',
            )
        images = []
        for index, task in enumerate(tasks):
            where = f'task {index} (id {task.get("id")!s:.40})'
            data = task.get('data')
            stated = data.get(self.image_key) if isinstance(data, dict) else 0
            if not isinstance(stated, str) or not isinstance(
                task.get('annotations'), list
            ):
                raise AnnotationError(
                    source,
                    where,
                    f'expected "data" with the image under '
                    f'{self.image_key!r}, and a list of "annotations"',
                    'Export as "JSON" (not JSON-MIN), or name the key of the '
                    'image (--image-key)',
                )
            results = self._choose_results(task, source, where)
            images.append(
                StatedImage(
                    self._find_image(stated, source, where),
                    None,
                    source,
                    where,
                    results or [],
                    annotated=results is not None,
                )
            )
        return images

    def _choose_results(
        self, task: Dict[str, Any], source: str, where: str
    ) -> Optional[List[dict]]:
        """Choose the annotation of a task; None where there is none."""
        chosen = []
        for annotation in task['annotations']:
            results = (
                annotation.get('result')
                if isinstance(annotation, dict)
                else None
            )
            if not isinstance(results, list) or not all(
                isinstance(item, dict)
                and isinstance(item.get('value', {}), dict)
                for item in results
            ):
                raise AnnotationError(
                    source,
                    where,
                    'an annotation has no list of results',
                    'Export as "JSON" from Label Studio',
                )
            if annotation.get('was_cancelled'):
                continue
            author = annotation.get('completed_by')
            if isinstance(author, dict):
                author = author.get('id')
            if self.annotator is None or str(author) == str(self.annotator):
                chosen.append(results)
        if len(chosen) > 1:
            raise AnnotationError(
                source,
                where,
                f'the task has {len(chosen)} annotations, expected one',
                'Delete all but one, or choose an annotator (--annotator)',
            )
        return chosen[0] if chosen else None

    def _find_image(self, stated: str, source: str, where: str) -> str:
        """Find the image of a task in the image folder."""
        path = stated
        if '://' in stated or stated.startswith('/data/'):
            try:
                parts = urlsplit(stated)
                local = parse_qs(parts.query).get('d')
            except ValueError as error:
                raise AnnotationError(
                    source,
                    where,
                    f'the image {stated[:120]!r} is no URL: {error}',
                    'Correct it',
                ) from None
            path = local[0] if local else unquote(parts.path)
        name = self.images.find(path, source, where)
        if (
            len(name) > UPLOAD_PREFIX
            and name[UPLOAD_PREFIX - 1] == '-'
            and HEX_DIGITS.issuperset(name[: UPLOAD_PREFIX - 1])
            and not fileio.exists(self.images.join(name), self.backend_args)
        ):
            name = self.images.find(name[UPLOAD_PREFIX:], source, where)
        return name

    def _read_shapes(self, image: StatedImage, size: Size) -> List[Shape]:
        """Read the rectangles of one image.

        Args:
            image (StatedImage): The image.
            size (tuple[int]): Its (width, height) in pixels.

        Returns:
            list[Shape]: Regions and cells, in file order.

        Raises:
            AnnotationError: If a rectangle can't be understood.
        """
        regions: Dict[object, List[dict]] = {}
        for index, result in enumerate(image.shapes):
            # Relations have no id; what has none is a region of its own.
            key = result.get('id')
            key = key if isinstance(key, (str, int)) else (index,)
            regions.setdefault(key, []).append(result)
        shapes = []
        for key, results in regions.items():
            where = f'result {str(key)[:40]}'
            shape = self._read_region(results, image, size, where)
            if shape is not None:
                shapes.append(shape)
        return shapes

    def _read_region(
        self,
        results: Sequence[dict],
        image: StatedImage,
        size: Size,
        where: str,
    ) -> Optional[Shape]:
        """Read the results of one region; None where it is no rectangle."""
        record = f'{image.where}, {where}'
        labels: List[str] = []
        attributes: List[tuple] = []
        geometry = None
        other_shape = False
        for result in results:
            kind, value = str(result.get('type')), result.get('value', {})
            if kind in ('rectanglelabels', 'rectangle') and geometry is None:
                geometry = result
            if kind in ('rectanglelabels', 'labels'):
                labels += self._strings(value, kind, image.source, record)
            elif kind == 'choices':
                attributes += [
                    (str(result.get('from_name')), choice)
                    for choice in self._strings(
                        value, kind, image.source, record
                    )
                ]
            elif kind.startswith(OTHER_SHAPES):
                other_shape = True
            elif kind != 'rectangle':
                self.names.unread[f'results of type {kind[:40]!r}'] += 1
        if geometry is None:
            if other_shape:
                self._drop_shape('shapes that are no rectangles', image, where)
            for name, _ in attributes:
                self.names.unread[f'choice {name[:40]!r} of no rectangle'] += 1
            return None
        if len(set(labels)) > 1:
            raise AnnotationError(
                image.source,
                record,
                f'the rectangle has the labels {labels[:5]}, expected one',
                'Keep one',
            )
        box, turned = self._read_box(geometry, image.source, record, size)
        return Shape(
            labels[0] if labels else '',
            box,
            attributes,
            where,
            turned=turned,
        )

    @staticmethod
    def _strings(
        value: dict, kind: str, source: str, record: str
    ) -> List[str]:
        """Read the labels or choices of a result."""
        strings = value.get(kind, [])
        if not isinstance(strings, list) or not all(
            isinstance(item, str) for item in strings
        ):
            raise AnnotationError(
                source,
                record,
                f'{kind!r} is {str(strings)[:80]}, expected a list of names',
                'Correct it',
            )
        return strings

    @staticmethod
    def _read_box(result: dict, source: str, record: str, size: Size) -> tuple:
        """Read the box of a rectangle, and whether it was rotated."""
        value = result.get('value', {})

        def number(holder: dict, key: str, default: object = None) -> float:
            return parse_number(holder.get(key, default), source, record, key)

        if number(result, 'image_rotation', 0) % 360:
            raise AnnotationError(
                source,
                record,
                'the image was rotated for annotation, expected it upright',
                'Rotate it back in Label Studio, or store it rotated',
            )
        left, top, width, height = (
            number(value, key) / 100 * size[axis % 2]
            for axis, key in enumerate(('x', 'y', 'width', 'height'))
        )
        box = left, top, left + width, top + height
        rotation = number(value, 'rotation', 0) % 360
        if rotation:
            # Label Studio rotates about the upper left corner.
            box = turn_box(box, rotation, (left, top))
        return box, bool(rotation)
