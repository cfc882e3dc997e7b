# Copyright (c) mmleuk authors. All rights reserved.
"""Soft edges, noise and shapes of which films are drawn."""

from typing import Tuple, TypeAlias

import cv2
import numpy as np

Array: TypeAlias = np.ndarray


def soft_inside(distance: Array, softness: float) -> Array:
    """Turn a signed distance (negative inside) into a mask in [0, 1].

    ``softness`` is half the width of the edge; the mask is 0.5 on the edge.
    """
    x = np.clip(0.5 - distance / (2 * softness), 0, 1)
    return x * x * (3 - 2 * x)


def smooth_min(a: Array, b: Array, blend: float) -> Array:
    """Unite two signed distances, blended over a width of ``blend``."""
    share = np.clip(0.5 + 0.5 * (b - a) / blend, 0, 1)
    return b + (a - b) * share - blend * share * (1 - share)


def smooth_max(a: Array, b: Array, blend: float) -> Array:
    """Intersect two signed distances, blended over a width of ``blend``."""
    return -smooth_min(-a, -b, blend)


def noise(
    rng: np.random.Generator, shape: Tuple[int, int], grain: float
) -> Array:
    """Draw smooth noise of one grain size.

    Args:
        rng (np.random.Generator): Random generator.
        shape (tuple[int, int]): Height and width in pixels.
        grain (float): Distance of independent values in pixels.

    Returns:
        np.ndarray: (H, W) float32, about zero mean and unit deviation.
    """
    height, width = shape
    grain = max(float(grain), 1.0)
    small = rng.standard_normal(
        (int(height / grain) + 4, int(width / grain) + 4), dtype=np.float32
    )
    # A random origin of the lattice, so that no grid is seen.
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
    first: int,
    last: int,
) -> Array:
    """Draw the unevenness of a closed outline.

    Args:
        rng (np.random.Generator): Random generator.
        angle (np.ndarray): Angles in radians.
        amount (float): Standard deviation of the result.
        first (int): Lowest order of the waves.
        last (int): Highest order of the waves.

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
    """Make coordinates in micrometres of a patch of 2 * half + 1 pixels."""
    axis = np.arange(-half, half + 1, dtype=np.float32) / np.float32(px_per_um)
    return np.meshgrid(axis, axis)


def turn(x: Array, y: Array, angle: float) -> Tuple[Array, Array]:
    """Express coordinates in axes turned by an angle in radians."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * c + y * s, y * c - x * s


def discs(shape: Tuple[int, int], centres: Array, radii: Array) -> Array:
    """Draw anti-aliased discs.

    Args:
        shape (tuple[int, int]): Height and width in pixels.
        centres (np.ndarray): (n, 2) x and y in pixels.
        radii (np.ndarray): (n, ) radii in pixels.

    Returns:
        np.ndarray: (H, W) float32 coverage in [0, 1].
    """
    # Four times as large, because OpenCV's own anti-aliasing makes all discs
    # below three pixels look alike.
    zoom, shift = 4, 4
    canvas = np.zeros((shape[0] * zoom, shape[1] * zoom), np.uint8)
    points = np.round(((centres + 0.5) * zoom - 0.5) * 2**shift).astype(int)
    sizes = np.maximum(np.round(radii * zoom * 2**shift), 1).astype(int)
    for (x, y), size in zip(points.tolist(), sizes.tolist()):
        cv2.circle(canvas, (x, y), size, 255, -1, cv2.LINE_8, shift)
    small = cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255
