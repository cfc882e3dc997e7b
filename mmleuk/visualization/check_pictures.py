# Copyright (c) mmleuk authors. All rights reserved.
"""Pictures of what the check of data finds."""

from typing import Sequence

import cv2
import numpy as np

# BGR.
_STATED, _MOVED = (0, 127, 255), (255, 100, 0)


def draw_moved_boxes(
    image: np.ndarray,
    bboxes: Sequence[Sequence[float]],
    shift: Sequence[float],
) -> np.ndarray:
    """Draw boxes as they are, in orange, and moved, in blue.

    Args:
        image (np.ndarray): Shape (h, w, 3), uint8, BGR.
        bboxes (Sequence): The boxes, (x1, y1, x2, y2) in pixels.
        shift (Sequence[float]): The move in x and y.

    Returns:
        np.ndarray: The picture, as large as the image.
    """
    picture = image.copy()
    boxes = np.asarray(bboxes, dtype=float).reshape(-1, 4)
    for colour, corners in (
        (_MOVED, boxes + np.tile(shift, 2)),
        (_STATED, boxes),
    ):
        for x1, y1, x2, y2 in np.round(corners).astype(int).tolist():
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
    return picture


def draw_overlap(
    first: np.ndarray, second: np.ndarray, shift: Sequence[int]
) -> np.ndarray:
    """Draw two fields side by side, and frame what both show.

    Args:
        first (np.ndarray): Shape (h, w, 3), uint8, BGR.
        second (np.ndarray): As large.
        shift (Sequence[int]): Where the left upper corner of the second image
            is in the first one, in x and y.

    Returns:
        np.ndarray: The picture, shape (h, 2 * w, 3).
    """
    size = np.array(first.shape[1::-1])
    sides = []
    for image, move in ((first, np.array(shift)), (second, -np.array(shift))):
        low = np.clip(move, 0, size)
        high = np.clip(move + size, 0, size) - 1
        sides.append(
            cv2.rectangle(
                image.copy(), low.tolist(), high.tolist(), _STATED, 3
            )
        )
    return np.concatenate(sides, axis=1)
