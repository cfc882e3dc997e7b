# Copyright (c) mmleuk authors. All rights reserved.
"""Outlines of nuclei as signed distances of about unit radius."""

import functools
from typing import Callable, Dict

import numpy as np

from .texture import Array, harmonics, noise, smooth_max, smooth_min, turn

Outline = Callable[[Array, Array], Array]


def _ellipse(x: Array, y: Array, ratio: float) -> Array:
    stretch = np.float32(np.sqrt(ratio))
    return np.hypot(x / stretch, y * stretch) - 1


def _disc(x: Array, y: Array, cx: float, cy: float, radius: float) -> Array:
    return np.hypot(x - np.float32(cx), y - np.float32(cy)) - np.float32(
        radius
    )


def _capsule(
    x: Array, y: Array, start: Array, end: Array, radius: float
) -> Array:
    dx, dy = (end - start).astype(np.float32)
    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - along * dx, y - along * dy) - np.float32(radius)


def _arc(
    x: Array, y: Array, radius: float, span: float, thickness: float
) -> Array:
    angle = np.clip(np.arctan2(y, x), -span, span)
    return np.hypot(
        x - radius * np.cos(angle), y - radius * np.sin(angle)
    ) - np.float32(thickness)


def _uneven(
    rng: np.random.Generator,
    base: Outline,
    amount: float,
    first: int,
    last: int,
) -> Outline:
    """Add waves of the given orders to an outline."""
    seed = rng.integers(2**32)

    def outline(x: Array, y: Array) -> Array:
        rng = np.random.default_rng(seed)
        return base(x, y) - harmonics(
            rng, np.arctan2(y, x), amount, first, last
        )

    return outline


def _round(
    rng: np.random.Generator, low: float = 1, high: float = 1.12
) -> Outline:
    base = functools.partial(_ellipse, ratio=rng.uniform(low, high))
    return _uneven(rng, base, 0.012, 2, 4)


def _dented(rng: np.random.Generator) -> Outline:
    """Round with two or three shallow bays and an uneven contour."""
    base = _uneven(rng, _round(rng), 0.05, 3, 7)
    count = rng.integers(2, 4)
    angles = rng.uniform(0, 2 * np.pi) + np.arange(count) * rng.uniform(
        1.4, 2.3
    )
    bays = [
        (np.cos(a) * 1.16, np.sin(a) * 1.16, rng.uniform(0.34, 0.48))
        for a in angles
    ]

    def outline(x: Array, y: Array) -> Array:
        shape = base(x, y)
        for bay in bays:
            shape = smooth_max(shape, -_disc(x, y, *bay), 0.12)
        return shape

    return outline


def _cleft(rng: np.random.Generator) -> Outline:
    """Round with one or two deep narrow clefts."""
    base = _round(rng)
    first = rng.uniform(0, 2 * np.pi)
    cuts = []
    for k in range(rng.integers(1, 3)):
        angle = first + k * rng.uniform(1.8, 3.2)
        outer = np.array([np.cos(angle), np.sin(angle)]) * 1.25
        bend = angle + rng.uniform(-0.5, 0.5)
        depth = rng.uniform(-0.05, 0.25)
        inner = np.array([np.cos(bend), np.sin(bend)]) * depth
        middle = (outer + inner) / 2 + rng.normal(0, 0.09, 2)
        cuts.append((outer, middle, rng.uniform(0.07, 0.11)))
        cuts.append((middle, inner, rng.uniform(0.04, 0.07)))

    def outline(x: Array, y: Array) -> Array:
        shape = base(x, y)
        for start, end, radius in cuts:
            shape = smooth_max(
                shape, -_capsule(x, y, start, end, radius), 0.08
            )
        return shape

    return outline


def _folded(rng: np.random.Generator) -> Outline:
    """A nucleus that is creased and lumpy, as in the monocytic line."""
    return _uneven(rng, _cleft(rng), 0.11, 2, 5)


def _kidney(rng: np.random.Generator) -> Outline:
    ratio, bay = rng.uniform(0.62, 0.78), rng.uniform(0.62, 0.85)
    side = rng.uniform(-0.2, 0.2)

    def outline(x: Array, y: Array) -> Array:
        return smooth_max(
            _ellipse(x, y, ratio), -_disc(x, y, 1.05, side, bay), 0.2
        )

    return outline


def _horseshoe(rng: np.random.Generator) -> Outline:
    span, thickness = rng.uniform(1.7, 2.2), rng.uniform(0.40, 0.52)
    return lambda x, y: _arc(x, y, 0.8, span, thickness)


def _band(rng: np.random.Generator) -> Outline:
    span, thickness = rng.uniform(1.5, 2.1), rng.uniform(0.28, 0.36)
    return lambda x, y: _arc(x, y, 0.9, span, thickness)


def _lobes(rng: np.random.Generator, count: int) -> Outline:
    """Draw a chain of lobes that turns by a random angle at each."""
    radius = {2: 0.78, 3: 0.62, 4: 0.54}[count]
    step = 1.75 * radius
    heading, turn = 0.0, rng.choice([-1, 1]) * 2 * np.pi / (count + 1.6)
    centres = [np.zeros(2)]
    for _ in range(count - 1):
        heading += turn * rng.uniform(0.6, 1.3)
        way = np.array([np.cos(heading), np.sin(heading)])
        centres.append(centres[-1] + step * rng.uniform(0.88, 1.08) * way)
    centres = np.array(centres) - np.mean(centres, 0)
    radii = radius * rng.uniform(0.82, 1.15, count)
    ratios = np.exp(rng.uniform(-0.45, 0.45, count))
    bridge = rng.uniform(0.14, 0.26)

    def outline(x: Array, y: Array) -> Array:
        shape = np.full_like(x, 9)
        for (cx, cy), size, ratio in zip(centres, radii, ratios):
            lobe = size * _ellipse(
                (x - np.float32(cx)) / np.float32(size),
                (y - np.float32(cy)) / np.float32(size),
                ratio,
            )
            shape = smooth_min(shape, lobe, 0.05)
        for start, end in zip(centres[:-1], centres[1:]):
            shape = smooth_min(shape, _capsule(x, y, start, end, bridge), 0.16)
        return shape

    return outline


_BUILDERS: Dict[str, Callable[[np.random.Generator], Outline]] = {
    'round': _round,
    'oval': functools.partial(_round, low=1.15, high=1.38),
    'dented': _dented,
    'cleft': _cleft,
    'folded': _folded,
    'kidney': _kidney,
    'horseshoe': _horseshoe,
    'band': _band,
    'lobes2': functools.partial(_lobes, count=2),
    'lobes3': functools.partial(_lobes, count=3),
    'lobes4': functools.partial(_lobes, count=4),
}


def nucleus_distance(
    rng: np.random.Generator,
    shape: str,
    x: Array,
    y: Array,
    area: float,
    warp: float,
) -> Array:
    """Compute the signed distance to a nucleus around the origin.

    Args:
        rng (np.random.Generator): Random generator.
        shape (str): Name of the outline, a key of ``_BUILDERS``.
        x (np.ndarray): Coordinates in micrometres.
        y (np.ndarray): Coordinates in micrometres.
        area (float): Area of the nucleus in square micrometres.
        warp (float): Distortion of the outline as a share of the radius.

    Returns:
        np.ndarray: Distance in micrometres (exact near the outline only),
        negative inside.
    """
    outline = _BUILDERS[shape](rng)
    angle = rng.uniform(0, 2 * np.pi)
    # The area of an outline of unit size has no formula: count pixels.
    axis = np.linspace(-2.6, 2.6, 79, dtype=np.float32)
    counted = np.mean(outline(*np.meshgrid(axis, axis)) < 0) * 5.2**2
    scale = np.float32(np.sqrt(area / counted))
    grain = 0.75 * scale / (x[0, 1] - x[0, 0])
    x = x + warp * scale * noise(rng, x.shape, grain)
    y = y + warp * scale * noise(rng, y.shape, grain)
    x, y = turn(x, y, angle)
    return scale * outline(x / scale, y / scale)
