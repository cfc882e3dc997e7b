# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence

import torch
from torch import Tensor


def check_jitter(center_std: float, size_std: float) -> None:
    """Refuse negative standard deviations of :func:`jitter_boxes`.

    Raises:
        ValueError: If one is negative.
    """
    if min(center_std, size_std) < 0:
        raise ValueError(
            f'got attribute_center_std={center_std} and '
            f'attribute_size_std={size_std}, expected 0 or more'
        )


def jitter_boxes(
    boxes: Tensor,
    img_shape: Sequence[int],
    center_std: float,
    size_std: float,
) -> Tensor:
    """Move and scale boxes at random, as detections deviate from cells.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2) in pixels, shape (n, 4).
        img_shape (Sequence[int]): Height and width of the image in pixels, at
            which boxes end.
        center_std (float): Standard deviation of the shift of a box, as a
            share of its side.
        size_std (float): Standard deviation of the logarithm of the factor of
            each side.

    Returns:
        Tensor: The boxes, shape (n, 4).
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    shifts = center_std * torch.randn_like(sides) * sides
    factors = (size_std * torch.randn_like(sides)).exp()
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 + shifts
    boxes = torch.cat(
        [centers - sides * factors / 2, centers + sides * factors / 2],
        dim=1,
    )
    # As detections are.
    height, width = img_shape[:2]
    x = boxes[:, 0::2].clamp(0, width)
    y = boxes[:, 1::2].clamp(0, height)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)
