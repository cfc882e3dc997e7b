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
