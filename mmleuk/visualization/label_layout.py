# Copyright (c) mmleuk authors. All rights reserved.
"""Place the labels of cells so that they hide no cell."""

from dataclasses import dataclass
from typing import Any, List, Tuple

import cv2
import numpy as np

# Pixels between two tried positions: 57,600 positions on a picture of
# 960 x 960.
_STEP = 4
# Costs of a position, per share of the label's area that lies on another
# label, on a cell or in a box, and per label height between it and its box.
# Two labels on each other are both lost; a covered cell is seen in part; a
# label in the box of another cell may be read as that one's.
_ON_LABEL = 60.0
_ON_CELL = 20.0
_IN_OTHER_BOX = 4.0
_IN_OWN_BOX = 1.0
_AWAY = 0.25
_FAR_AWAY = 0.15
# Tie breakers: above the box rather than beside or below it, flush left.
_NOT_ABOVE = 0.1
_NOT_FLUSH = 0.1
# Maximum distance of a label from its box, in label heights.
_REACH = 5
# Later rounds place each label again, given all others.
_ROUNDS = 3


@dataclass(frozen=True)
class LabelLayout:
    """Positions of the labels of one picture.

    Args:
        corners (np.ndarray): Top left corners (x, y) in pixels, shape (n, 2).
        cells_covered (np.ndarray): Share of each label's area that lies on
            cells, in [0, 1], shape (n, ).
        labels_covered (np.ndarray): The same for other labels.
        in_other_boxes (np.ndarray): The same for boxes of other cells.
    """

    corners: np.ndarray
    cells_covered: np.ndarray
    labels_covered: np.ndarray
    in_other_boxes: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """np.ndarray: How much each label hides, 0 if nothing, shape (n, )."""
        return (
            self.cells_covered
            + 3 * self.labels_covered
            + 0.3 * self.in_other_boxes
        )


def _window_sums(raster: np.ndarray, width: int, height: int) -> np.ndarray:
    """Sum over each window that fits, by its first row and column."""
    table = cv2.integral(raster.astype(np.float64))
    return (
        table[height:, width:]
        - table[:-height, width:]
        - table[height:, :-width]
        + table[:-height, :-width]
    )


def _rasterise(
    boxes: np.ndarray, shape: Tuple[int, int]
) -> Tuple[np.ndarray, np.ndarray]:
    """Mask all cells, as ellipses, (h, w), and each box, (n, h, w)."""
    cells = np.zeros(shape)
    inside = np.zeros((len(boxes), *shape), dtype=bool)
    y, x = np.ogrid[: shape[0], : shape[1]]
    x, y = x + 0.5, y + 0.5
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        dx = np.abs(2 * x - x1 - x2) / max(x2 - x1, 1e-3)
        dy = np.abs(2 * y - y1 - y2) / max(y2 - y1, 1e-3)
        cells[dx**2 + dy**2 <= 1] = 1
        inside[index] = (dx <= 1) & (dy <= 1)
    return cells, inside


class _Placer:
    """Costs of the positions of labels, given all others."""

    def __init__(
        self, boxes: np.ndarray, sizes: np.ndarray, frame: Tuple[int, int]
    ) -> None:
        height, width = frame
        self.shape = (
            max(1, int(height // _STEP)),
            max(1, int(width // _STEP)),
        )
        self.boxes = boxes / _STEP
        self.cells, self.inside = _rasterise(self.boxes, self.shape)
        self.num_boxes = self.inside.sum(axis=0)
        self.labels = np.zeros(self.shape)
        # A label larger than the frame is placed as one that fills it.
        self.sizes = np.clip(
            np.ceil(sizes / _STEP).astype(int), 1, self.shape[::-1]
        )
        # Costs that do not depend on other labels.
        self.fixed_costs = [self._fixed_cost(i) for i in range(len(boxes))]

    def area(self, index: int) -> Tuple[slice, slice]:
        """Rows and columns within reach of a box, clipped to the frame."""
        size, slices = self.sizes[index], []
        reach = max(_REACH * size[1], size[0])
        for axis in (0, 1):
            extent = self.shape[1 - axis]
            low, high = np.clip(self.boxes[index, axis::2], 0, extent)
            start = int(max(0, low - size[axis] - reach))
            stop = int(np.ceil(min(extent, high + size[axis] + reach)))
            slices.append(slice(min(start, extent - size[axis]), stop))
        return slices[1], slices[0]

    def covered(self, raster: np.ndarray, index: int) -> np.ndarray:
        """Share of a label that lies on a raster, by its position."""
        width, height = self.sizes[index]
        sums = _window_sums(raster[self.area(index)], width, height)
        return sums / (width * height)

    def shares(self, index: int) -> List[np.ndarray]:
        """Shares on cells, other labels and in other boxes, by position."""
        others = self.num_boxes > self.inside[index]
        rasters = self.cells, np.minimum(self.labels, 1), others
        return [self.covered(raster, index) for raster in rasters]

    def _fixed_cost(self, index: int) -> np.ndarray:
        """Cost of each position without other labels."""
        on_cells, _, in_other_boxes = self.shares(index)
        cost = _ON_CELL * on_cells + _IN_OTHER_BOX * in_other_boxes
        cost += _IN_OWN_BOX * self.covered(self.inside[index], index)
        width, height = self.sizes[index]
        x1, y1, x2, y2 = self.boxes[index]
        rows, columns = self.area(index)
        left = columns.start + np.arange(cost.shape[1])[None]
        top = rows.start + np.arange(cost.shape[0])[:, None]
        dx = np.maximum(0, np.maximum(x1 - left - width, left - x2))
        dy = np.maximum(0, np.maximum(y1 - top - height, top - y2))
        away = np.hypot(dx, dy) / height
        cost += _AWAY * away + _FAR_AWAY * away**2
        cost += _NOT_ABOVE * (top + height > y1 + 1)
        cost += _NOT_FLUSH * np.minimum(1, np.abs(left - x1) / width)
        return cost

    def best(self, index: int) -> Tuple[int, int]:
        """Row and column of the best place in :meth:`area`."""
        on_labels = self.covered(np.minimum(self.labels, 1), index)
        cost = self.fixed_costs[index] + _ON_LABEL * on_labels
        return np.unravel_index(cost.argmin(), cost.shape)

    def corner(self, index: int, place: Tuple[int, int]) -> Tuple[int, int]:
        """Row and column of a place in the frame."""
        rows, columns = self.area(index)
        return rows.start + place[0], columns.start + place[1]

    def put(self, index: int, place: Tuple[int, int], count: int) -> None:
        """Add a label to the raster, or take it away by -1."""
        row, column = self.corner(index, place)
        width, height = self.sizes[index]
        self.labels[row : row + height, column : column + width] += count


def place_labels(
    boxes: np.ndarray, sizes: np.ndarray, frame: Tuple[int, int]
) -> LabelLayout:
    """Find a position for the label of each cell.

    Greedy, the most crowded cell first, over all positions around its box on
    a grid of 4 pixels; then each label is placed again, given all others. A
    label should cover no other label and no cell (the ellipse in its box) and
    lie near its box. Without free area labels do cover something, which is
    returned.

    Args:
        boxes (np.ndarray): Boxes (x1, y1, x2, y2) of the cells in pixels,
            shape (n, 4).
        sizes (np.ndarray): Width and height of each label in pixels, shape
            (n, 2).
        frame (tuple[int, int]): Height and width of the picture in pixels.

    Returns:
        LabelLayout: The positions.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    sizes = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    if len(boxes) != len(sizes):
        raise ValueError(
            f'got {len(boxes)} boxes and {len(sizes)} sizes of labels, '
            'expected as many of one as of the other'
        )
    count = len(boxes)
    if count == 0:
        return LabelLayout(np.zeros((0, 2)), *[np.zeros(0)] * 3)
    placer = _Placer(boxes, sizes, frame)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    reach = np.median(boxes[:, 2:] - boxes[:, :2]) + np.median(sizes)
    order = np.argsort(-(distances < reach).sum(axis=1), kind='stable')
    places: List[Any] = [None] * count
    for _ in range(_ROUNDS):
        before = list(places)
        for index in order:
            if places[index] is not None:
                placer.put(index, places[index], -1)
            places[index] = placer.best(index)
            placer.put(index, places[index], 1)
        if places == before:
            break
    covered, corners = np.zeros((3, count)), np.zeros((count, 2))
    for index, place in enumerate(places):
        placer.put(index, place, -1)
        covered[:, index] = [share[place] for share in placer.shares(index)]
        placer.put(index, place, 1)
        corners[index] = placer.corner(index, place)[::-1]
    corners *= _STEP
    # The grid may end a few pixels short of the frame, or a label be larger.
    corners = np.minimum(corners, np.array(frame[::-1]) - sizes)
    return LabelLayout(np.maximum(corners, 0), *covered)
