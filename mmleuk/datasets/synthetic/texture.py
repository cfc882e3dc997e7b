# Copyright (c) mmleuk authors. All rights reserved.
"""Soft edges, noise and shapes that every part of a film is drawn with."""

from typing import Tuple

import cv2
import numpy as np

Array = np.ndarray


def soft_inside(distance: Array, softness: float) -> Array:
    """Turn a signed distance into an anti-aliased mask.

    Args:
        distance (np.ndarray): Signed distance, negative inside.
        softness (float): Half width of the edge in the same unit.

    Returns:
        np.ndarray: Mask in [0, 1] of the same shape, 0.5 on the edge.
    """
    x = np.clip(0.5 - distance / (2 * softness), 0, 1)
    return x * x * (3 - 2 * x)


def smooth_min(a: Array, b: Array, blend: float) -> Array:
    """Union of two signed distances with a rounded joint.

    Args:
        a (np.ndarray): Signed distance.
        b (np.ndarray): Signed distance of the same shape.
        blend (float): Width over which they are blended.

    Returns:
        np.ndarray: Signed distance of the union.
    """
    share = np.clip(0.5 + 0.5 * (b - a) / blend, 0, 1)
    return b + (a - b) * share - blend * share * (1 - share)


def smooth_max(a: Array, b: Array, blend: float) -> Array:
    """Intersection of two signed distances with a rounded joint."""
    return -smooth_min(-a, -b, blend)


def noise(
    rng: np.random.Generator, shape: Tuple[int, int], grain: float
) -> Array:
    """Smooth noise of one grain size.

    Args:
        rng (np.random.Generator): Source of chance.
        shape (tuple[int, int]): Height and width in pixels.
        grain (float): Distance of independent values in pixels.

    Returns:
        np.ndarray: (H, W) float32 of about zero mean and unit deviation.
    """
    height, width = shape
    grain = max(float(grain), 1.0)
    small = rng.standard_normal(
        (int(height / grain) + 4, int(width / grain) + 4), dtype=np.float32
    )
    # The origin of the lattice moves, so that it is never seen as a grid.
    shift = rng.uniform(1, 2, 2)
    matrix = np.array([[1 / grain, 0, shift[0]], [0, 1 / grain, shift[1]]])
    field = cv2.warpAffine(
        small,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    return field * np.float32(1.25)


def harmonics(
    rng: np.random.Generator,
    angle: Array,
    amount: float,
    first: int = 2,
    last: int = 6,
) -> Array:
    """Unevenness of a closed outline as a function of the angle.

    Args:
        rng (np.random.Generator): Source of chance.
        angle (np.ndarray): Angles in radians.
        amount (float): Standard deviation of the result.
        first (int): Lowest order. Defaults to 2.
        last (int): Highest order. Defaults to 6.

    Returns:
        np.ndarray: Relative deviation of the radius, shape of ``angle``.
    """
    orders = np.arange(first, last + 1)
    sizes = rng.normal(size=len(orders)) / (orders - first + 1.5)
    norm = np.sqrt(0.5 * np.sum(1 / (orders - first + 1.5) ** 2))
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    wave = np.zeros_like(angle)
    for order, size, phase in zip(orders, sizes, phases):
        wave += np.float32(size) * np.cos(
            np.float32(order) * angle + np.float32(phase)
        )
    return wave * np.float32(amount / norm)


def polar_grid(half: int, px_per_um: float) -> Tuple[Array, Array]:
    """Coordinates of a square patch around its centre.

    Args:
        half (int): The patch is ``2 * half + 1`` pixels wide.
        px_per_um (float): Scale.

    Returns:
        tuple[np.ndarray, np.ndarray]: x and y in micrometres, float32.
    """
    axis = np.arange(-half, half + 1, dtype=np.float32) / np.float32(px_per_um)
    return np.meshgrid(axis, axis)


def discs(shape: Tuple[int, int], centres: Array, radii: Array) -> Array:
    """Anti-aliased discs, the way granules are drawn.

    Args:
        shape (tuple[int, int]): Height and width in pixels.
        centres (np.ndarray): (n, 2) x and y in pixels.
        radii (np.ndarray): (n, ) radii in pixels.

    Returns:
        np.ndarray: (H, W) float32 coverage in [0, 1].
    """
    # Drawn four times as large: OpenCV's own anti-aliasing makes discs of
    # less than three pixels look alike.
    zoom, shift = 4, 4
    canvas = np.zeros((shape[0] * zoom, shape[1] * zoom), np.uint8)
    points = np.round(((centres + 0.5) * zoom - 0.5) * 2**shift).astype(int)
    sizes = np.maximum(np.round(radii * zoom * 2**shift), 1).astype(int)
    for (x, y), size in zip(points.tolist(), sizes.tolist()):
        cv2.circle(canvas, (x, y), size, 255, -1, cv2.LINE_8, shift)
    small = cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255
