# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import shapely
from shapely.affinity import rotate

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import Size
from mmleuk.io.source_files import load_bounded_json, parse_number
from mmleuk.structures.record import Box

from .box_reader import (
    BoxReader,
    Shape,
    StatedImage,
    is_rectangle,
    surround,
    surround_ellipse,
)

# Types of results that are shapes, alone or followed by "labels".
SHAPES = (
    'rectangle',
    'ellipse',
    'polygon',
    'vector',
    'brush',
    'bitmask',
    'keypoint',
)

# Largest mask that is decoded, in pixels.
MAX_MASK = 2**26


class LabelStudioReader(BoxReader):
    """Reads the JSON export of Label Studio.

    The format: https://labelstud.io/guide/task_format. Shapes are in percent
    of the image. The results of one shape share its id, so per-region choices
    are the attributes of its cell, under the name of their ``Choices``. Cells
    are the upright boxes of rectangles, polygons, ellipses and brush masks. An
    open vector is an ignored cell, since it may be a measure. The extent of
    other shapes is unknown. Cancelled annotations and predictions are not
    read.

    Args:
        args (tuple): Arguments of :class:`BoxReader`.
        image_key (str): Key of the image in the ``data`` of a task.
        annotator (int | str, optional): Whose annotation to take where an
            image has several, by ``completed_by``. None: several are an error.
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

    def _read_images(self, source: str) -> Iterator[StatedImage]:
        """List the images of the tasks."""
        tasks = load_bounded_json(source, self.max_bytes)
        if not isinstance(tasks, list) or not all(
            isinstance(task, dict) for task in tasks
        ):
            raise AnnotationError(
                source,
                '',
                'the content is no list of tasks',
                'Export as "JSON" from Label Studio',
            )
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
            place = f'{source}, {where}'
            chosen = self._choose_results(task, place)
            results = chosen or []
            yield StatedImage(
                self.images.find(stated, place),
                _read_size(results),
                source,
                where,
                results,
                annotated=chosen is not None,
            )

    def _choose_results(
        self, task: Dict[str, Any], place: str
    ) -> Optional[List[dict]]:
        """Choose the annotation of a task; None where there is none."""
        chosen = []
        for annotation in task['annotations']:
            results = None
            if isinstance(annotation, dict):
                results = annotation.get('result')
            if not isinstance(results, list) or not all(
                isinstance(item, dict)
                and isinstance(item.get('value', {}), dict)
                for item in results
            ):
                raise AnnotationError(
                    place,
                    '',
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
                place,
                '',
                f'the task has {len(chosen)} annotations, expected one',
                'Choose an annotator (--annotator), or cancel all but one',
            )
        return chosen[0] if chosen else None

    def _read_shapes(self, image: StatedImage, size: Size) -> Iterator[Shape]:
        """Read the shapes of one image."""
        groups: Dict[object, List[dict]] = {}
        for index, result in enumerate(image.shapes):
            # Relations have no id. A result without one is on its own.
            key = result.get('id')
            key = key if isinstance(key, (str, int)) else (index,)
            groups.setdefault(key, []).append(result)
        for key, results in groups.items():
            where = f'result {str(key)[:40]}'
            shape = self._read_shape(results, image, size, where)
            if shape is not None:
                yield shape

    def _read_shape(
        self,
        results: Sequence[dict],
        image: StatedImage,
        size: Size,
        where: str,
    ) -> Optional[Shape]:
        """Read the results of one id; None where they state no shape."""
        place = f'{image.place}, {where}'
        labels: List[str] = []
        attributes: List[tuple] = []
        shape = None
        for result in results:
            kind, value = str(result.get('type')), result.get('value', {})
            base = kind.removesuffix('labels')
            if base in SHAPES and shape is None:
                shape = result
            if base != kind:
                labels += _read_strings(value, kind, place)
            elif kind == 'choices':
                attributes += [
                    (str(result.get('from_name')), choice)
                    for choice in _read_strings(value, kind, place)
                ]
            elif kind not in SHAPES:
                self.unread[f'results of type {kind[:40]!r}'] += 1
        if shape is None and not labels:
            for name, _ in attributes:
                self.unread[f'choice {name[:40]!r} of no shape'] += 1
            return None
        if len(set(labels)) > 1:
            raise AnnotationError(
                place,
                '',
                f'the shape has the labels {labels[:5]}, expected one',
                'Keep one',
            )
        box, outline = None, ''
        if shape is not None:
            box, outline = _read_outline(shape, place, size)
        label = labels[0] if labels else ''
        is_open = outline == 'vectors'
        return Shape(label, box, attributes, where, is_open, outline)


def _read_size(results: Sequence[dict]) -> Optional[Size]:
    """Read the size of an image in pixels, None if it is not clear."""
    sizes = {
        (str(result['original_width']), str(result['original_height']))
        for result in results
        if {'original_width', 'original_height'} <= set(result)
    }
    if len(sizes) == 1:
        width, height = sizes.pop()
        if width.isdecimal() and height.isdecimal():
            size = int(width[:9]), int(height[:9])
            return size if all(size) else None
    return None


def _read_strings(value: dict, kind: str, place: str) -> List[str]:
    """Read the labels or choices of a result."""
    strings = value.get(kind, [])
    if not isinstance(strings, list) or not all(
        isinstance(item, str) for item in strings
    ):
        raise AnnotationError(
            place,
            '',
            f'{kind!r} is {str(strings)[:80]}, expected a list of names',
            'Correct it',
        )
    return strings


def _read_outline(
    result: dict, place: str, size: Size
) -> Tuple[Optional[Box], str]:
    """Find the box around a shape, and what the shape is unless a box."""
    value = result.get('value', {})

    def number(holder: dict, key: str, default: object = None) -> float:
        return parse_number(holder.get(key, default), place, key)

    def pixels(x_key: str, y_key: str, holder: dict = value) -> tuple:
        return tuple(
            number(holder, key) / 100 * side
            for key, side in zip((x_key, y_key), size)
        )

    if number(result, 'image_rotation', 0) % 360:
        raise AnnotationError(
            place,
            '',
            'the image was rotated for annotation, expected it upright',
            'Rotate it back in Label Studio, or store it rotated',
        )
    kind = str(result.get('type')).removesuffix('labels')
    rotation = number(value, 'rotation', 0) % 360
    if kind == 'rectangle':
        (left, top), sides = pixels('x', 'y'), pixels('width', 'height')
        box = left, top, left + sides[0], top + sides[1]
        if not rotation:
            return box, ''
        # Label Studio rotates about the upper left corner.
        turned = rotate(shapely.box(*box), rotation, (left, top))
        return turned.bounds, 'rotated boxes'
    if kind == 'ellipse':
        centre, radii = pixels('x', 'y'), pixels('radiusX', 'radiusY')
        return surround_ellipse(centre, radii, rotation), 'ellipses'
    points = value.get('points', value.get('vertices'))
    if kind in ('polygon', 'vector') and isinstance(points, list):
        corners = []
        for point in points:
            if isinstance(point, (list, tuple)):
                point = dict(zip('xy', point))
            if not isinstance(point, dict):
                return None, ''
            corners.append(pixels('x', 'y', point))
        outline = 'polygons' if value.get('closed', True) else 'vectors'
        return surround(corners), '' if is_rectangle(corners) else outline
    if kind == 'brush':
        return _decode_brush(result, size), 'masks'
    return None, ''


def _decode_brush(result: dict, size: Size) -> Optional[Box]:
    """Find the box around a brush mask; None if it can't be decoded.

    The mask holds four bytes a pixel (red, green, blue, alpha), row by row,
    as runs in a stream of bits: the number of bytes in 32 bits, the bits of a
    value less one in 5, the four possible lengths of a run's field less one in
    4 each; then for each run one bit (whether one value is repeated), two bits
    that choose the field, the length of the run less one, and the value or the
    values.
    """
    try:
        bits = ''.join(f'{byte:08b}' for byte in bytes(result['value']['rle']))
        width, height = (
            int(result[f'original_{side}']) for side in ('width', 'height')
        )
        position = 0

        def read(count: int) -> int:
            nonlocal position
            position += count
            if position > len(bits):
                raise ValueError
            return int(bits[position - count : position], 2)

        total, depth = read(32), read(5) + 1
        fields = [read(4) + 1 for _ in range(4)]
        if total != width * height * 4 or total > MAX_MASK * 4 or depth != 8:
            return None
        runs, length = [], 0
        while length < total:
            is_repeated = read(1)
            count = read(fields[read(2)]) + 1
            length += count
            if is_repeated:
                runs.append(np.full(count, read(8), np.uint8))
            else:
                values = read(8 * count).to_bytes(count, 'big')
                runs.append(np.frombuffer(values, np.uint8))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    mask = np.concatenate(runs)[:total].reshape(height, width, 4)[..., 3] > 0
    rows, columns = (
        np.flatnonzero(mask.any(axis)).tolist() for axis in (1, 0)
    )
    if not rows:
        return None
    return (
        columns[0] / width * size[0],
        rows[0] / height * size[1],
        (columns[-1] + 1) / width * size[0],
        (rows[-1] + 1) / height * size[1],
    )
