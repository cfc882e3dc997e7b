# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.visualization import Visualizer
from PIL import Image

from mmleuk.structures import MISSING, AttributeSchema

from .colours import INK, RGB
from .pen import BOLD, TEXT, Pen, to_rgba

_EMPTY: RGB = (236, 236, 236)
_HATCH: RGB = (190, 190, 190)
# Pixels between blocks; those of two attributes lie farther apart.
_GAP = 6
_WIDE_GAP = 18
_CELL_GAP = 2
_LETTERS = 13.0
_SMALL = 11.0
_LINE = 18


class Example(NamedTuple):
    """A cell to show.

    Args:
        img_path (str): Its image.
        bbox (tuple[float]): (x1, y1, x2, y2) in pixels.
    """

    img_path: str
    bbox: Tuple[float, float, float, float]


class _Column(NamedTuple):
    """A column: all cells, or the cells with one value of an attribute."""

    attribute: Optional[int]
    code: Optional[int]
    title: str


def cut_out(
    image: np.ndarray, bbox: Sequence[float], size: int, margin: float = 0.1
) -> np.ndarray:
    """Cut a cell out of its image, as a square.

    Args:
        image (np.ndarray): RGB, shape (h, w, 3), uint8.
        bbox (Sequence[float]): (x1, y1, x2, y2) in pixels.
        size (int): Side of the square that is returned, in pixels.
        margin (float): Margin on each side, as a share of the longer side.

    Returns:
        np.ndarray: Shape (size, size, 3), white outside of the image.
    """
    x1, y1, x2, y2 = bbox
    side = max(1, round(max(x2 - x1, y2 - y1) * (1 + 2 * margin)))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    square = Image.new('RGB', (side, side), 'white')
    square.paste(Image.fromarray(image), (-left, -top))
    return cv2.resize(
        np.asarray(square),
        (size, size),
        interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC,
    )


class ContactSheet:
    """Examples of cells by class (rows) and attribute value (columns).

    Each block states the number of cells and their share of the class; a
    combination without cells is an empty block. Classes without a cell and
    attributes without a label are listed below.

    Args:
        classes (Sequence[str]): Names of the classes.
        palette (Sequence[tuple[int]]): RGB of each.
        schema (:obj:`AttributeSchema`, optional): The attributes.
        num_examples (int): Examples in a block.
        size (int): Side of an example in pixels.
        seed (int): Seed of the choice of examples.

    Raises:
        ValueError: If ``num_examples`` or ``size`` is less than 1.
    """

    def __init__(
        self,
        classes: Sequence[str],
        palette: Sequence[RGB],
        schema: Optional[AttributeSchema] = None,
        num_examples: int = 4,
        size: int = 56,
        seed: int = 0,
    ) -> None:
        if num_examples < 1 or size < 1:
            raise ValueError(
                f'got {num_examples} examples of {size} pixels, expected at '
                'least one of at least one'
            )
        self.classes = tuple(classes)
        self.palette = list(palette)
        self.schema = schema
        self.num_examples = num_examples
        self.size = size
        self.seed = seed
        self._cells: List[Tuple[int, Tuple[int, ...], Example]] = []

    def add(
        self, label: int, codes: Optional[Sequence[int]], example: Example
    ) -> None:
        """Add a cell.

        Args:
            label (int): Its class.
            codes (Sequence[int], optional): One code an attribute, -1 where
                it is missing. None: all are.
            example (Example): Where it is.

        Raises:
            ValueError: If the codes are not one an attribute.
        """
        count = 0 if self.schema is None else len(self.schema)
        if codes is None or self.schema is None:
            codes = (MISSING,) * count
        if len(codes) != count:
            raise ValueError(
                f'a cell of {example.img_path} has the attributes '
                f'{tuple(codes)}, expected {count} codes'
            )
        self._cells.append((label, tuple(map(int, codes)), example))

    def _columns(self) -> List[_Column]:
        """All cells, then the values of each attribute that is stated."""
        columns = [_Column(None, None, 'all cells')]
        for index, attribute in enumerate(self.schema or ()):
            if any(codes[index] != MISSING for _, codes, _ in self._cells):
                columns += [
                    _Column(index, code, value)
                    for code, value in enumerate(attribute.values)
                ]
        return columns

    def _blocks(self) -> Dict[Tuple[int, _Column], Tuple[int, List[Example]]]:
        """Number of cells and chosen examples, by class and column."""
        if not self._cells:
            raise ValueError(
                'got no cell, expected at least one that is not ignored'
            )
        rng = np.random.default_rng(self.seed)
        blocks = {}
        for label in sorted({label for label, _, _ in self._cells}):
            cells = [cell for cell in self._cells if cell[0] == label]
            for column in self._columns():
                members = [
                    example
                    for _, codes, example in cells
                    if column.attribute is None
                    or codes[column.attribute] == column.code
                ]
                chosen = rng.permutation(len(members))[: self.num_examples]
                blocks[label, column] = (
                    len(members),
                    [members[index] for index in chosen],
                )
        return blocks

    def examples(self) -> Dict[str, List[Example]]:
        """Choose the cells that are shown.

        Returns:
            dict[str, list[Example]]: By path of their image.

        Raises:
            ValueError: If no cell was added.
        """
        chosen = {e for _, some in self._blocks().values() for e in some}
        by_image: Dict[str, List[Example]] = {}
        for example in sorted(chosen):
            by_image.setdefault(example.img_path, []).append(example)
        return by_image

    def draw(self, crops: Mapping[Example, np.ndarray]) -> np.ndarray:
        """Draw the sheet.

        Args:
            crops (Mapping[Example, np.ndarray]): The picture of each of
                :meth:`examples`, from :func:`cut_out`, shape
                (size, size, 3).

        Returns:
            np.ndarray: RGB, uint8.

        Raises:
            ValueError: If no cell was added.
        """
        blocks = self._blocks()
        labels = sorted({label for label, _ in blocks})
        columns = self._columns()

        pen = Pen(Visualizer())
        across = math.ceil(math.sqrt(self.num_examples))
        down = math.ceil(self.num_examples / across)
        pitch = self.size + _CELL_GAP
        block = across * pitch - _CELL_GAP, down * pitch - _CELL_GAP
        block_width = max(
            block[0],
            *(round(pen.text_width(c.title, _SMALL)) for c in columns),
        )
        names = [self._name(label) for label in labels]
        left = round(max(pen.text_width(n, _LETTERS, BOLD) for n in names))
        left += 3 * _GAP + 14
        xs, x = [], left
        for before, column in zip([None, *columns], columns):
            same = before is None or before.attribute == column.attribute
            x += 0 if before is None else block_width
            x += _GAP if same else _WIDE_GAP
            xs.append(x)
        top = 2 * _LINE + 2 * _GAP
        row_height = block[1] + _LINE + 2 * _GAP
        notes = self._notes(labels, columns)
        width = max(
            xs[-1] + block_width,
            *(pen.text_width(note, _SMALL) for note in ['', *notes]),
        )
        height = top + row_height * len(labels) + _LINE * len(notes) + _GAP
        canvas = np.full((height, round(width + 2 * _GAP), 3), 255, np.uint8)
        for row, label in enumerate(labels):
            y = top + row * row_height
            for x, column in zip(xs, columns):
                area = canvas[y : y + block[1], x : x + block[0]]
                for index, example in enumerate(blocks[label, column][1]):
                    i, j = (pitch * k for k in divmod(index, across))
                    area[i : i + self.size, j : j + self.size] = crops[example]
        pen.visualizer.set_image(canvas)
        self._write_header(pen, columns, xs)
        for row, label in enumerate(labels):
            y = top + row * row_height
            pen.rectangle(
                (_GAP, y + 2),
                (14, 14),
                facecolor=to_rgba(self.palette[label]),
                edgecolor='none',
            )
            pen.write(2 * _GAP + 14, y, names[row], _LETTERS, INK, BOLD)
            total = blocks[label, columns[0]][0]
            for x, column in zip(xs, columns):
                count = blocks[label, column][0]
                if not count:
                    pen.rectangle(
                        (x, y),
                        block,
                        hatch='//',
                        facecolor=to_rgba(_EMPTY),
                        edgecolor=to_rgba(_HATCH),
                        linewidth=0,
                    )
                text = f'{count}'
                if column.attribute is not None and count:
                    text += f' ({max(1, round(100 * count / total))} %)'
                pen.write(x, y + block[1] + 1, text, _SMALL, INK)
        y = top + row_height * len(labels)
        for note in notes:
            pen.write(_GAP, y, note, _SMALL, INK)
            y += _LINE
        return np.ascontiguousarray(pen.visualizer.get_image())

    def _name(self, label: int) -> str:
        """Name of a class."""
        if 0 <= label < len(self.classes):
            return self.classes[label]
        return f'class {label}'

    def _write_header(
        self, pen: Pen, columns: Sequence[_Column], xs: Sequence[float]
    ) -> None:
        """Write names of attributes, with a line over their values."""
        shown = set()
        for x, column in zip(xs, columns):
            pen.write(x, _GAP + _LINE, column.title, _SMALL, INK)
            if column.attribute is None or column.attribute in shown:
                continue
            shown.add(column.attribute)
            its = [
                other_x
                for other_x, other in zip(xs, columns)
                if other.attribute == column.attribute
            ]
            title = self.schema[column.attribute].title
            size, room = _LETTERS, its[-1] - its[0] + (its[-1] - its[-2])
            width = pen.text_width(title, size, BOLD)
            if width > room:
                size *= room / width
            pen.write(x, _GAP - 2, title, size, INK, BOLD)
            y = _GAP + _LINE
            pen.line([(x, y), (x + room - _GAP, y)], INK, 1, TEXT)

    def _notes(
        self, labels: Sequence[int], columns: Sequence[_Column]
    ) -> List[str]:
        """List classes, attributes and values that are not shown."""
        notes = []
        absent = [
            name
            for label, name in enumerate(self.classes)
            if label not in labels
        ]
        if absent:
            notes.append(f'No cells: {", ".join(absent)}.')
        shown = {column.attribute for column in columns}
        silent = [
            attribute.title
            for index, attribute in enumerate(self.schema or ())
            if index not in shown
        ]
        if silent:
            notes.append(f'Not stated for any cell: {", ".join(silent)}.')
        for index in sorted(shown - {None}):
            missing = sum(
                codes[index] == MISSING for _, codes, _ in self._cells
            )
            if missing:
                notes.append(
                    f'{self.schema[index].title}: not stated for {missing} of '
                    f'{len(self._cells)} cells.'
                )
        return notes
