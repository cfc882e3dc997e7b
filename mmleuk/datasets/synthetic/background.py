# Copyright (c) mmleuk authors. All rights reserved.
"""Draw erythrocytes, platelets and debris around the white cells."""

from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from .morphology import ERYTHROCYTE_UM
from .texture import (
    Array,
    discs,
    harmonics,
    noise,
    polar_grid,
    soft_inside,
    turn,
)

_ERYTHROCYTE = np.array([0.235, 0.330, 0.170], np.float32)
_PLATELET = np.array([0.62, 0.95, 0.18], np.float32)
_DEBRIS = np.array([0.55, 0.60, 0.45], np.float32)


@dataclass(frozen=True)
class Blood:
    """A patient's blood and how the film was spread.

    Args:
        crowding (float): Probability of an erythrocyte at a lattice point.
        pallor (float): Mean depth of the central pallor.
        anisocytosis (float): Relative spread of the erythrocytes' diameter.
        poikilocytosis (float): Unevenness of their outline.
        rouleaux (float): Probability that an erythrocyte starts a stack.
        platelets (float): Platelets per 1000 square micrometres.
        stain (tuple[float, float, float]): Gain of the optical density in R,
            G, B.
    """

    crowding: float
    pallor: float
    anisocytosis: float
    poikilocytosis: float
    rouleaux: float
    platelets: float
    stain: Tuple[float, float, float]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> 'Blood':
        """Draw a patient's blood."""
        strength = rng.uniform(0.86, 1.16)
        stain = strength * rng.uniform(0.93, 1.07, 3)
        return cls(
            crowding=rng.uniform(0.5, 0.95),
            pallor=rng.uniform(0.55, 0.95),
            anisocytosis=rng.uniform(0.04, 0.11),
            poikilocytosis=rng.uniform(0.015, 0.05),
            rouleaux=rng.choice([0.0, 0.03, 0.10], p=[0.4, 0.4, 0.2]),
            platelets=rng.uniform(0.3, 2.2),
            stain=tuple(stain.tolist()),
        )


def _draw_erythrocyte(
    rng: np.random.Generator, blood: Blood, px_per_um: float
) -> Array:
    """Draw the thickness of one erythrocyte, (H, W) float32."""
    size = np.clip(rng.normal(1, blood.anisocytosis), 0.75, 1.3)
    radius = np.float32(ERYTHROCYTE_UM / 2 * size)
    half = int(np.ceil(radius * 1.35 * px_per_um)) + 2
    x, y = polar_grid(half, px_per_um)
    ratio = np.float32(np.sqrt(1 + abs(rng.normal(0, 0.11))))
    x, y = turn(x, y, rng.uniform(0, np.pi))
    x, y = x / ratio, y * ratio
    wave = harmonics(rng, np.arctan2(y, x), blood.poikilocytosis, 2, 5)
    wave = np.clip(wave, -0.2, 0.2)
    rho = np.hypot(x, y) / (radius * (1 + wave))
    edge = soft_inside((rho - 1) * radius, max(0.21, 0.6 / px_per_um))

    depth = float(np.clip(rng.normal(blood.pallor, 0.2), 0, 0.9))
    start, width = rng.uniform(0.08, 0.36), rng.uniform(0.36, 0.5)
    dx, dy = rng.normal(0, 0.06, 2).astype(np.float32)
    inner = np.hypot(x / radius - dx, y / radius - dy)
    if rng.random() < 0.25 * blood.pallor:
        # A drying artefact: the pallor has a sharp edge.
        pale = soft_inside(inner - np.float32(0.6 * width), 0.10)
    else:
        pale = soft_inside(inner - np.float32(start + width / 2), width / 2)
    bowl = 0.90 + 0.16 * np.minimum(rho, 1) ** 4
    thickness = edge * bowl * (1 - depth * pale)
    return (thickness * rng.uniform(0.85, 1.20)).astype(np.float32)


def _erythrocyte_places(
    rng: np.random.Generator,
    blood: Blood,
    width_um: float,
    height_um: float,
    cells: Array,
) -> Array:
    """Draw (m, 2) centres in um of erythrocytes clear of the white cells."""
    pitch = ERYTHROCYTE_UM * 1.1
    columns = np.arange(-1, width_um / pitch + 2)
    rows = np.arange(-1, height_um / (pitch * 0.87) + 2)
    x, y = np.meshgrid(columns * pitch, rows * pitch * 0.87)
    x = x + (rows[:, None] % 2) * pitch / 2 + rng.uniform(0, pitch)
    y = y + rng.uniform(-pitch, 0)
    # Films are crowded in places and thin in others.
    patches = noise(rng, x.shape, 3.5)
    taken = rng.random(x.shape) < blood.crowding * (0.72 + 0.28 * patches)
    places = np.stack([x[taken], y[taken]], 1)
    places += rng.normal(0, 0.26 * ERYTHROCYTE_UM, places.shape)
    places = _relax(rng, places)

    stacks = [places]
    for start in places[rng.random(len(places)) < blood.rouleaux]:
        heading, length = rng.uniform(0, 2 * np.pi), rng.integers(2, 6)
        steps = np.arange(1, length)[:, None] * ERYTHROCYTE_UM
        steps = steps * rng.uniform(0.3, 0.6)
        bend = heading + np.cumsum(rng.normal(0, 0.15, length - 1))
        ways = np.stack([np.cos(bend), np.sin(bend)], 1)
        stacks.append(start + steps * ways)
    if len(stacks) > 1:
        piled = np.concatenate(stacks[1:])
        free = cKDTree(piled).query(places)[0] > 0.75 * ERYTHROCYTE_UM
        places = np.concatenate([places[free], piled])
    if len(cells):
        away = cdist(places, cells[:, :2]) - cells[:, 2]
        places = places[away.min(1) > ERYTHROCYTE_UM * 0.40]
    return places


def _relax(rng: np.random.Generator, places: Array) -> Array:
    """Push most close neighbours apart; leave some overlaps."""
    if len(places) < 2:
        return places
    reach = ERYTHROCYTE_UM * np.where(
        rng.random(len(places)) < 0.12, 0.6, 0.97
    )
    for _ in range(4):
        pairs = cKDTree(places).query_pairs(
            ERYTHROCYTE_UM, output_type='ndarray'
        )
        if not len(pairs):
            break
        # The tree gives pairs in no fixed order; sums must not depend on it.
        pairs = pairs[np.lexsort(pairs.T[::-1])]
        gap = places[pairs[:, 0]] - places[pairs[:, 1]]
        length = np.maximum(np.linalg.norm(gap, axis=1), 1e-3)
        want = np.minimum(reach[pairs[:, 0]], reach[pairs[:, 1]])
        push = np.maximum(want - length, 0)[:, None] * gap / length[:, None]
        move = np.zeros_like(places)
        np.add.at(move, pairs[:, 0], 0.4 * push)
        np.add.at(move, pairs[:, 1], -0.4 * push)
        places = places + move
    return places


def _add_patch(canvas: Array, patch: Array, centre: Array) -> None:
    """Add a patch around a centre (x, y) to a canvas, cut at its border."""
    left, top = np.round(centre - np.array(patch.shape[1::-1]) / 2)
    to, of = overlap(canvas.shape, patch.shape, int(left), int(top))
    canvas[to] += patch[of]


def overlap(
    canvas: Tuple[int, ...], patch: Tuple[int, ...], x: int, y: int
) -> Tuple[Tuple[slice, slice], Tuple[slice, slice]]:
    """Find the slices of a canvas and of a patch where they overlap.

    Args:
        canvas (tuple[int]): Shape of the canvas.
        patch (tuple[int]): Shape of the patch.
        x (int): Column of the patch's left edge on the canvas.
        y (int): Row of the patch's upper edge on the canvas.

    Returns:
        tuple: Slices (rows, columns) into the canvas and into the patch.
    """
    top, left = max(y, 0), max(x, 0)
    bottom = max(min(y + patch[0], canvas[0]), top)
    right = max(min(x + patch[1], canvas[1]), left)
    return (
        (slice(top, bottom), slice(left, right)),
        (slice(top - y, bottom - y), slice(left - x, right - x)),
    )


def draw_background(
    rng: np.random.Generator,
    blood: Blood,
    shape: Tuple[int, int],
    px_per_um: float,
    cells: Array,
) -> Array:
    """Draw a field without its white cells.

    Args:
        rng (np.random.Generator): Random generator.
        blood (Blood): The patient's blood.
        shape (tuple[int, int]): Height and width in pixels.
        px_per_um (float): Scale in pixels per micrometre.
        cells (np.ndarray): (n, 3) x, y and radius in micrometres of the white
            cells, which push erythrocytes aside.

    Returns:
        np.ndarray: (H, W, 3) float32 optical density in R, G, B.
    """
    height, width = shape
    places = _erythrocyte_places(
        rng, blood, width / px_per_um, height / px_per_um, cells
    )
    thickness = np.zeros(shape, np.float32)
    # A few different ones are enough.
    pool = [
        _draw_erythrocyte(rng, blood, px_per_um)
        for _ in range(min(len(places), 80) or 1)
    ]
    for centre in places * px_per_um:
        _add_patch(thickness, pool[rng.integers(len(pool))], centre)
    # Two overlapping cells are less than twice as dark.
    thickness = np.where(thickness > 1, 1 + 0.5 * (thickness - 1), thickness)
    density = thickness[..., None] * _ERYTHROCYTE
    _add_platelets(rng, blood, density, px_per_um)
    _add_debris(rng, density, px_per_um)
    haze = noise(rng, shape, 14 * px_per_um) * rng.uniform(0.002, 0.008)
    grain = noise(rng, shape, 1.2 * px_per_um) * 0.004
    return density + np.maximum(haze + grain, -0.02)[..., None]


def _add_platelets(
    rng: np.random.Generator, blood: Blood, density: Array, px_per_um: float
) -> None:
    height, width = density.shape[:2]
    area = height * width / px_per_um**2
    for _ in range(rng.poisson(area * blood.platelets / 1000)):
        group = 1 if rng.random() < 0.8 else rng.integers(2, 5)
        centre = rng.uniform(0, 1, 2) * (width, height)
        for _ in range(group):
            place = centre + rng.normal(0, 1.3 * px_per_um * (group > 1), 2)
            _add_patch(density, _platelet(rng, px_per_um), place)


def _platelet(rng: np.random.Generator, px_per_um: float) -> Array:
    scale = max(px_per_um, 4.0)
    radius = np.float32(rng.uniform(0.8, 1.6))
    x, y = polar_grid(int(radius * 1.6 * scale) + 2, scale)
    stretch = np.float32(np.sqrt(rng.uniform(1, 1.5)))
    wave = harmonics(rng, np.arctan2(y, x), 0.10, 2, 7)
    body = np.hypot(x / stretch, y * stretch) - radius * (1 + wave)
    cover = soft_inside(body, 0.18)
    grains = noise(rng, x.shape, 0.35 * scale)
    core = np.exp(-((np.hypot(x, y) / (0.7 * radius)) ** 2))
    level = np.clip(0.4 + 0.6 * core + 0.2 * grains, 0.1, 1.3) * cover
    patch = level[..., None].astype(np.float32) * _PLATELET
    if scale > px_per_um:
        size = max(round(len(x) * px_per_um / scale), 1)
        patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA)
    return patch


def _add_debris(
    rng: np.random.Generator, density: Array, px_per_um: float
) -> None:
    height, width = density.shape[:2]
    area = height * width / px_per_um**2
    count = rng.poisson(area * rng.uniform(0.1, 1.2) / 1000)
    centres = rng.uniform(0, 1, (count, 2)) * (width, height)
    radii = rng.uniform(0.1, 0.45, count) * px_per_um
    specks = discs((height, width), centres, radii)
    specks = cv2.GaussianBlur(specks, (0, 0), max(0.12 * px_per_um, 0.5))
    density += specks[..., None] * _DEBRIS * np.float32(rng.uniform(0.3, 1))
