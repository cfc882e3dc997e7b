# Copyright (c) mmleuk authors. All rights reserved.
"""Cut a large image into tiles, and join the detections of the tiles.

MMDetection's ``mmdet.utils.large_image.merge_results_by_nms`` keeps both
halves of a cell at a border (they overlap by less than half), suppresses
within one class alone, and needs all tiles in memory. SAHI's
``ObjectPrediction`` has no attributes.
"""

import math
from dataclasses import dataclass
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mmleuk.structures.matching import keep_best, overlapping_pairs

from .detections import Detections

# A box this near to a border of its tile, as a share of the tile's side, is
# cut: a network does not predict the last pixels exactly.
BORDER_SHARE = 0.01

# Ranks of boxes, the best first: with their centre in the core of their own
# tile, in that of another tile, or cut by a border.
_IN_CORE, _OUTSIDE_CORE, _CUT = range(3)


class Tile(NamedTuple):
    """One tile.

    Args:
        window (tuple[int]): (x1, y1, x2, y2) in pixels of the image.
        core (tuple[float]): The area nearer to the centre of this tile than
            to that of any other, infinite where there is no neighbour. The
            cores of all tiles partition the plane.
    """

    window: Tuple[int, int, int, int]
    core: Tuple[float, float, float, float]


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles and their detections are joined.

    Args:
        size (int): Side of a tile in pixels of the image. The pipeline of the
            model scales a tile as it scales a field: take the size of the
            fields it was trained on, at the same magnification.
        overlap (int, optional): Smallest overlap of neighbours in pixels,
            a quarter of the size by default. It should exceed the largest
            cell, so that each cell is whole in some tile.
        region (tuple[int], optional): (x1, y1, x2, y2), the part of the image
            to process. None: all of it.
        iou_thr (float): IoU from which boxes of two tiles are one cell.
        ios_thr (float): Intersection over the smaller area from which two
            boxes are one cell if the border of a tile cuts the worse one, or
            its centre is in the core of another tile.

    Raises:
        ValueError: If a number is out of range.
    """

    size: int
    overlap: Optional[int] = None
    region: Optional[Tuple[int, int, int, int]] = None
    iou_thr: float = 0.5
    ios_thr: float = 0.5

    def __post_init__(self) -> None:
        if self.overlap is None:
            object.__setattr__(self, 'overlap', self.size // 4)
        if self.size < 1:
            raise ValueError(
                f'the tile size is {self.size}, expected at least 1 px'
            )
        if not 0 <= self.overlap < self.size:
            raise ValueError(
                f'the overlap of tiles is {self.overlap} px, expected it from '
                f'0 to less than their size of {self.size} px'
            )
        for name in ('iou_thr', 'ios_thr'):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f'{name} is {getattr(self, name)}, expected it in (0, 1]'
                )

    def needs_tiles(self, width: int, height: int) -> bool:
        """Tell whether an image exceeds a tile or is cut to a region."""
        return self.region is not None or max(width, height) > self.size

    def tiles(self, width: int, height: int) -> Iterator[Tile]:
        """Lay tiles over an image, row by row, evenly spaced.

        Args:
            width (int): Width of the image in pixels.
            height (int): Its height.

        Yields:
            Tile: A tile of ``size``, smaller only if the image is.

        Raises:
            ValueError: If the region is not in the image.
        """
        region = self._clip_region(width, height)
        columns = self._spans(region[0], region[2])
        for y1, y2, top, bottom in self._spans(region[1], region[3]):
            for x1, x2, left, right in columns:
                yield Tile((x1, y1, x2, y2), (left, top, right, bottom))

    def count(self, width: int, height: int) -> int:
        """Count the tiles of an image."""
        x1, y1, x2, y2 = self._clip_region(width, height)
        return len(self._spans(x1, x2)) * len(self._spans(y1, y2))

    def _clip_region(
        self, width: int, height: int
    ) -> Tuple[int, int, int, int]:
        if self.region is None:
            return 0, 0, width, height
        x1, y1, x2, y2 = self.region
        clipped = max(0, x1), max(0, y1), min(width, x2), min(height, y2)
        if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
            raise ValueError(
                f'the region {self.region} has no pixel in an image of '
                f'{width} x {height} px, expected (x1, y1, x2, y2) in it'
            )
        return clipped

    def _spans(
        self, start: int, end: int
    ) -> List[Tuple[int, int, float, float]]:
        """Cut a line into tiles: begin and end of each, and of its core."""
        length = end - start
        size = min(self.size, length)
        steps = math.ceil((length - size) / (self.size - self.overlap))
        begins = [
            start + i * (length - size) // max(1, steps)
            for i in range(steps + 1)
        ]
        middles = [(a + b + size) / 2 for a, b in zip(begins, begins[1:])]
        cores = [-math.inf, *middles, math.inf]
        return [
            (begin, begin + size, low, high)
            for begin, low, high in zip(begins, cores, cores[1:])
        ]


def merge_tiles(
    parts: Sequence[Tuple[Tile, Detections]], tiling: Tiling
) -> Tuple[Detections, int]:
    """Join the detections of all tiles, one box for each cell.

    A cell in the overlap is found in several tiles, and cut in some. Whole
    boxes with their centre in the core of their own tile rank first, then
    those with it in the core of another tile, and last those that a border
    cuts; the score decides among equals. A box is dropped if a better one *of
    another tile* is the same cell (see :class:`Tiling`), whatever the
    classes. Boxes of one tile do not suppress each other.

    Args:
        parts (Sequence[tuple[Tile, Detections]]): Tiles, and the detections
            in them, in pixels of the tile.
        tiling (Tiling): How the image was cut.

    Returns:
        tuple[Detections, int]: Cells in pixels of the image, the highest
        score first, and how many of them are cut by a border in all tiles:
        the overlap is too small for these.
    """
    moved = [found.shift(*tile.window[:2]) for tile, found in parts]
    cells = Detections.concatenate(moved)
    if not len(cells):
        return cells, 0
    sizes = [len(found) for found in moved]
    owner = np.repeat(np.arange(len(parts)), sizes)
    rank = np.concatenate(
        [_rank(tile, found) for (tile, _), found in zip(parts, moved)]
    )
    order = np.lexsort((-cells.scores, rank))
    cells, owner, rank = cells[order], owner[order], rank[order]
    pairs = _same_cells(cells.boxes, owner, rank, tiling)
    is_kept = keep_best(*pairs, len(cells)) == np.arange(len(cells))
    num_cut = int((is_kept & (rank == _CUT)).sum())
    cells = cells[is_kept]
    return cells[np.argsort(-cells.scores, kind='stable')], num_cut


def _rank(tile: Tile, found: Detections) -> np.ndarray:
    """Rank the boxes of a tile, in pixels of the image, shape (n, )."""
    window, core = np.array(tile.window), np.array(tile.core)
    margin = np.maximum(2, BORDER_SHARE * (window[2:] - window[:2]))
    # At the border of the image there is no neighbour that has more.
    low = np.where(np.isinf(core[:2]), -np.inf, window[:2] + margin)
    high = np.where(np.isinf(core[2:]), np.inf, window[2:] - margin)
    boxes = found.boxes
    is_cut = ((boxes[:, :2] < low) | (boxes[:, 2:] > high)).any(axis=1)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    is_outside = ((middles < core[:2]) | (middles >= core[2:])).any(axis=1)
    rank = np.where(is_outside, _OUTSIDE_CORE, _IN_CORE)
    return np.where(is_cut, _CUT, rank)


def _same_cells(
    boxes: np.ndarray, owner: np.ndarray, rank: np.ndarray, tiling: Tiling
) -> Tuple[np.ndarray, np.ndarray]:
    """Indices of boxes of two tiles that are one cell, the better first."""
    first, second, shared = overlapping_pairs(boxes)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    area_a, area_b = areas[first], areas[second]
    is_same = shared >= tiling.iou_thr * (area_a + area_b - shared)
    is_part = shared >= tiling.ios_thr * np.minimum(area_a, area_b)
    is_same |= is_part & (rank[second] != _IN_CORE)
    is_same &= owner[first] != owner[second]
    return first[is_same], second[is_same]
