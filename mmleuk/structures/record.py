# Copyright (c) mmleuk authors. All rights reserved.
"""The records that every reader returns and every writer takes."""

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple, Union

from .attribute_schema import MISSING

# A rectangle (x1, y1, x2, y2) in pixels of the stored image.
Box = Tuple[float, float, float, float]


@dataclass(frozen=True)
class CellRecord:
    """One annotated cell.

    Args:
        bbox (tuple[float]): (x1, y1, x2, y2) in pixels, inside the image.
        category (str): Class name as the annotation states it, normalised by
            :func:`normalise_name`.
        attributes (tuple[int]): One code per attribute of the schema, -1
            where it is missing.
        ignored (bool): Whether the cell is neither a positive nor background.
        extra (Mapping, optional): Further keys of its annotation in JSON,
            such as a score.
    """

    bbox: Box
    category: str
    attributes: Tuple[int, ...]
    ignored: bool = False
    extra: Optional[Mapping[str, Any]] = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if not self.category:
            raise ValueError('a cell has an empty category')
        if self.attributes and not (
            set(map(type, self.attributes)) == {int}
            and min(self.attributes) >= MISSING
        ):
            raise ValueError(
                f'a cell has the attribute codes {self.attributes}, expected '
                f'integers >= {MISSING}'
            )


@dataclass(frozen=True)
class FieldRecord:
    """One image (a microscopic field) with its cells.

    Args:
        file_name (str): Image file, relative to the image folder.
        width (int): Image width in pixels.
        height (int): Image height in pixels.
        cells (tuple[CellRecord]): The annotated cells, in file order.
        annotated_regions (tuple[tuple[float]], optional): Rectangles
            (x1, y1, x2, y2) in pixels inside which the annotation is
            complete. None means the whole image, an empty tuple that nothing
            in it is annotated.
        image_id (int | str, optional): The id that the annotation file gives
            to the image, None where the format has none.

    Raises:
        ValueError: If the size is not positive, or a box or region has no
            area or leaves the image.
    """

    file_name: str
    width: int
    height: int
    cells: Tuple[CellRecord, ...] = ()
    annotated_regions: Optional[Tuple[Box, ...]] = None
    image_id: Union[int, str, None] = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(
                f'{self.file_name} has the size {self.width} x {self.height}, '
                'expected at least 1 x 1'
            )
        for cell in self.cells:
            self._check_box(cell.bbox, 'cell')
        for region in self.annotated_regions or ():
            self._check_box(region, 'region')

    def _check_box(self, box: Box, what: str) -> None:
        """Check that a box has an area and lies inside the image."""
        x1, y1, x2, y2 = box
        # All comparisons with NaN are false.
        if not (0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height):
            raise ValueError(
                f'a {what} of {self.file_name} is {box}, expected 0 <= x1 < '
                f'x2 <= {self.width} and 0 <= y1 < y2 <= {self.height}'
            )

    @property
    def is_fully_annotated(self) -> bool:
        """bool: Whether no region is stated, or one over the whole image."""
        whole = (0, 0, self.width, self.height)
        return (
            self.annotated_regions is None or whole in self.annotated_regions
        )


def normalise_name(name: str) -> str:
    """Bring a class name to the form in which names are compared.

    Args:
        name (str): A name such as ``'Atypical_Lymphocyte'``.

    Returns:
        str: Lower case, one space between words: ``'atypical lymphocyte'``.
    """
    return ' '.join(name.lower().replace('_', ' ').split())
