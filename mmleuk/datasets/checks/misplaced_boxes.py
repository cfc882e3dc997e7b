# Copyright (c) mmleuk authors. All rights reserved.
"""Finds fields whose boxes lie beside their cells."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

import cv2
import numpy as np

# Classes of cells without a nucleus, whose boxes say nothing.
NO_NUCLEUS = (
    'erythrocyte',
    'erythrocytes',
    'platelet',
    'platelets',
    'rbc',
    'red blood cell',
    'thrombocyte',
    'thrombocytes',
)

# Boxes are misplaced if they hold at most this share of the stain that they
# hold after a move.
MAX_STAIN_SHARE = 0.5

# Moves are tried up to this many box sides, or to this share of the longer
# side of the image if that is more, in steps of this share of a box side.
_REACH, _IMAGE_REACH, _STEP = 1.5, 1 / 6, 1 / 6
# A field is judged if after the move its boxes hold at least this stain (mean)
# and this many times the mean stain of the field.
_MIN_STAIN, _MIN_CONTRAST = 0.1, 2
# Nuclei fill the middle of their boxes: this share of either side.
_MIDDLE = 0.5
# Smaller boxes (median side in pixels) say nothing.
_MIN_SIDE = 8
# Added to the channels: the colour of almost black pixels is noise.
_DARK = 16


@dataclass
class BoxMove:
    """A move after which the boxes of a field hold much more nuclear stain.

    Args:
        shift (tuple[int]): The move in x and y, in pixels of the image.
        stain_share (float): Stain in the boxes as they are, as a share of
            that after the move.
        bboxes (list[list[float]]): The boxes as they are, (x1, y1, x2, y2).
        empty (int): Boxes that hold at most ``MAX_STAIN_SHARE`` of what they
            hold after the move.
    """

    shift: Tuple[int, int]
    stain_share: float
    bboxes: List[List[float]]
    empty: int

    def __str__(self) -> str:
        return (
            f'{self.empty} of {len(self.bboxes)} boxes hold hardly any '
            f'nuclear stain, all together {self.stain_share:.0%} of what they '
            f'hold if moved by {self.shift} px'
        )


def nuclear_stain(image: np.ndarray) -> np.ndarray:
    """Measure how purple each pixel is, whatever its brightness.

    Nuclei in Romanowsky stains absorb green far more than red and blue. Grey
    background, black debris and blue-grey erythrocytes do not, and purple
    erythrocytes do so less.

    Args:
        image (np.ndarray): Shape (h, w, 3), uint8, BGR.

    Returns:
        np.ndarray: Logarithm of the mean of red and blue over green, at
        least 0, float32, shape (h, w).
    """
    blue, green, red = cv2.split(image.astype(np.float32))
    ratio = ((red + blue) / 2 + _DARK) / (green + _DARK)
    return np.log(np.maximum(ratio, 1))


def find_better_place(
    image: np.ndarray, boxes: np.ndarray
) -> Optional[BoxMove]:
    """Find out whether the boxes of a field are misplaced.

    All boxes are moved by one distance in every direction. If after some move
    they hold at least twice the nuclear stain, they miss their cells.

    Args:
        image (np.ndarray): Shape (h, w, 3), uint8, BGR.
        boxes (np.ndarray): Boxes of cells with a nucleus, (x1, y1, x2, y2) in
            pixels, shape (n, 4).

    Returns:
        BoxMove | None: The move after which they hold most, None if they are
        not misplaced.
    """
    if not len(boxes):
        return None
    sides = np.median(boxes[:, 2:] - boxes[:, :2], axis=0)
    if sides.min() < _MIN_SIDE:
        return None
    pixels = nuclear_stain(image)
    sums = cv2.integral(pixels, sdepth=cv2.CV_64F)
    reach = np.maximum(_REACH * sides, _IMAGE_REACH * max(image.shape))
    steps = np.ceil(reach / (sides * _STEP)).astype(int)
    moves = [
        np.arange(-number, number + 1) * side * _STEP
        for number, side in zip(steps, sides)
    ]
    shifts = np.stack(np.meshgrid(*moves), axis=-1).reshape(-1, 1, 2)
    stain = _stain_in_middle(sums, boxes + np.tile(shifts, 2))
    best = stain.sum(axis=1).argmax()
    stated = _stain_in_middle(sums, boxes)
    if (
        stain[best].mean() < max(_MIN_STAIN, _MIN_CONTRAST * pixels.mean())
        or stated.sum() > MAX_STAIN_SHARE * stain[best].sum()
    ):
        return None
    return BoxMove(
        tuple(np.round(shifts[best, 0]).astype(int).tolist()),
        float(stated.sum() / stain[best].sum()),
        boxes.tolist(),
        int(np.sum(stated <= MAX_STAIN_SHARE * stain[best])),
    )


def _stain_in_middle(sums: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Mean stain in the middle of boxes, none outside of the image.

    Args:
        sums (np.ndarray): Integral image, shape (h + 1, w + 1).
        boxes (np.ndarray): Shape (..., 4).

    Returns:
        np.ndarray: Shape (..., ).
    """
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    halves = (boxes[..., 2:] - boxes[..., :2]) * _MIDDLE / 2
    low = np.round(centres - halves).astype(int)
    high = np.maximum(np.round(centres + halves).astype(int), low + 1)
    area = (high - low).prod(axis=-1)
    limits = sums.shape[1] - 1, sums.shape[0] - 1
    (x1, y1), (x2, y2) = (
        np.moveaxis(np.clip(corner, 0, limits), -1, 0)
        for corner in (low, high)
    )
    return (sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]) / area
