# Copyright (c) mmleuk authors. All rights reserved.
"""Draw one white blood cell so that its attributes can be seen.

Everything is drawn as optical density (logarithm of absorbed light in R, G,
B), so that stain, thickness and light combine as they do in a film.
"""

from typing import NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from .morphology import (
    ARTEFACT,
    ARTEFACT_FORMS,
    CELL_DIAMETER_UM,
    MORPHOLOGY,
    NUCLEAR_AREA,
    SCHEMA,
    ClassMorphology,
    check_class,
)
from .nuclei import nucleus_distance
from .texture import (
    Array,
    discs,
    harmonics,
    noise,
    polar_grid,
    smooth_max,
    soft_inside,
    turn,
)

# The scale at which a cell is drawn; lower magnifications are made from it.
DRAWN_PX_PER_UM = 8.0

_NUCLEUS = np.array([1.02, 1.62, 0.40], np.float32)
_NUCLEOLUS = np.array([0.52, 0.64, 0.12], np.float32)
_BASOPHILIC = np.array([0.56, 0.49, 0.13], np.float32)
_AUER = np.array([0.40, 1.00, 0.30], np.float32)
_DIRT = np.array([0.95, 1.20, 0.80], np.float32)


class Sprite(NamedTuple):
    """A drawn cell.

    Args:
        density (np.ndarray): (H, W, 3) float32 optical density in R, G, B.
        cover (np.ndarray): (H, W) float32 share of each pixel that the cell
            covers; the cell's outline is where it is 0.5.
    """

    density: Array
    cover: Array


def mask_extent(mask: Array) -> Array:
    """Find the tight box (x1, y1, x2, y2) around an (H, W) bool mask.

    The last two are exclusive. An empty mask is a ValueError.
    """
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if width == 0:
        raise ValueError('got an empty mask, expected a drawn cell')
    return np.array([x, y, x + width, y + height])


def draw_cell(
    class_name: str,
    codes: Sequence[int],
    seed: int,
    px_per_um: float = DRAWN_PX_PER_UM,
) -> Sprite:
    """Draw a white blood cell or an artefact.

    Each part has its own random generator: two cells of one seed that differ
    in one attribute differ only in what this attribute describes.

    Args:
        class_name (str): One of the 14 classes.
        codes (Sequence[int]): Seven attribute codes; ignored for "none".
        seed (int): Seed of this cell.
        px_per_um (float): Scale in pixels per micrometre, at most 8.

    Returns:
        Sprite: The cell, with a margin around it.

    Raises:
        ValueError: If there is no such class, or a code names no value.
    """
    check_class(class_name)
    if class_name == ARTEFACT:
        sprite = _draw_artefact(np.random.default_rng(seed))
    else:
        if any(code < 0 for code in SCHEMA.clean(codes)):
            raise ValueError(
                f'got the attribute codes {tuple(codes)} for a {class_name}, '
                f'expected each below {SCHEMA.sizes}'
            )
        sprite = _draw_typed(MORPHOLOGY[class_name], tuple(codes), seed)
    scale = px_per_um / DRAWN_PX_PER_UM
    if scale == 1:
        return sprite
    height, width = sprite.cover.shape
    size = (max(round(width * scale), 3), max(round(height * scale), 3))
    return Sprite(
        *(
            cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            for part in sprite
        )
    )


def _draw_typed(
    kind: ClassMorphology, codes: Tuple[int, ...], seed: int
) -> Sprite:
    size, coarse, irregular, nucleoli, abundant, basophilic, vacuoles = codes
    rngs = [
        np.random.default_rng(child)
        for child in np.random.SeedSequence(seed).spawn(9)
    ]
    rng_body, rng_nucleus, rng_chromatin, rng_nucleoli, *rngs = rngs
    rng_cytoplasm, rng_granules, rng_vacuoles, rng_tone, rng_rods = rngs

    radius = np.float32(rng_body.uniform(*CELL_DIAMETER_UM[size]) / 2)
    half = int((radius * 1.45 + 1) * DRAWN_PX_PER_UM)
    x, y = polar_grid(half, DRAWN_PX_PER_UM)
    soft = np.float32(1.2 / DRAWN_PX_PER_UM)

    body = _body_distance(rng_body, kind, x, y, radius)
    nucleus = _place_nucleus(
        rng_nucleus, kind, irregular, abundant, x, y, radius, body
    )
    cover = soft_inside(body, soft)
    inside_nucleus = soft_inside(nucleus, soft)

    density = _cytoplasm(rng_cytoplasm, kind, basophilic, body, nucleus)
    density = _granulate(rng_granules, kind, density, body, nucleus)
    chromatin = _chromatin(rng_chromatin, coarse, nucleus)
    chromatin = _nucleoli(rng_nucleoli, nucleoli, chromatin, nucleus)
    density += inside_nucleus[..., None] * (chromatin - density)
    density = _granulate(
        rng_granules, kind, density, body, nucleus, over_nucleus=True
    )
    if rng_rods.random() < kind.auer_rods:
        density = _auer_rods(rng_rods, density, body, nucleus)
    if vacuoles:
        density = _vacuolate(rng_vacuoles, density, body, nucleus)
    density *= cover[..., None] * np.float32(rng_tone.uniform(0.93, 1.07))
    return Sprite(density, cover)


def _body_distance(
    rng: np.random.Generator,
    kind: ClassMorphology,
    x: Array,
    y: Array,
    radius: float,
) -> Array:
    """Signed distance in micrometres to the outline of the cell."""
    angle = np.arctan2(y, x)
    ratio = np.float32(np.sqrt(rng.uniform(1, 1.06 + 2.2 * kind.roughness)))
    x, y = turn(x, y, rng.uniform(0, np.pi))
    distance = np.hypot(x / ratio, y * ratio)
    wave = harmonics(rng, angle, kind.roughness, 2, 6)
    wave = np.clip(wave, -0.22, 0.22)
    fine = harmonics(rng, angle, 0.006, 9, 24)
    return distance - radius * (1 + wave + fine)


def _place_nucleus(
    rng: np.random.Generator,
    kind: ClassMorphology,
    irregular: int,
    abundant: int,
    x: Array,
    y: Array,
    radius: float,
    body: Array,
) -> Array:
    """Signed distance in micrometres to the outline of the nucleus."""
    # Drawn for all codes, so that what follows does not depend on them.
    shapes = (kind.regular_shapes, kind.irregular_shapes)
    picks = [names[rng.integers(len(names))] for names in shapes]
    share, lean = rng.random(), rng.random()
    heading = rng.uniform(0, 2 * np.pi)
    shape = picks[irregular]

    low, high = NUCLEAR_AREA[abundant]
    area = np.pi * radius**2 * (low + (high - low) * share)
    warp = (0.02, 0.08)[irregular]
    if shape.startswith('lobes') or shape == 'band':
        # Lobes that took as much as a round nucleus would fuse into one.
        area *= 0.78
    room = radius - np.sqrt(area / np.pi)
    shift = room * (0.15 + 0.6 * lean)
    if shape.startswith('lobes') or shape in ('band', 'horseshoe'):
        shift *= 0.35
        warp = 0.045
    distance = nucleus_distance(
        rng,
        shape,
        x - np.float32(shift * np.cos(heading)),
        y - np.float32(shift * np.sin(heading)),
        area,
        warp,
    )
    return smooth_max(distance, body + np.float32(0.3), 0.35)


def _cytoplasm(
    rng: np.random.Generator,
    kind: ClassMorphology,
    basophilic: int,
    body: Array,
    nucleus: Array,
) -> Array:
    coarse, fine = noise(rng, body.shape, 5), noise(rng, body.shape, 2)
    mottle = 1 + 0.10 * coarse + 0.07 * fine
    strength = rng.uniform(0.85, 1.15)
    tint = np.array(kind.cytoplasm, np.float32)
    if basophilic:
        tint = 0.3 * tint + _BASOPHILIC
        # Deep blue cytoplasm is deepest at the edge and paler near the
        # nucleus, where the Golgi apparatus lies.
        depth = 0.86 + 0.22 * np.exp(-((body / 0.9) ** 2))
        depth -= 0.22 * np.exp(-((nucleus / 0.8) ** 2))
    else:
        depth = 0.92 + 0.16 * np.exp(-((body / 0.5) ** 2))
    return (strength * mottle * depth)[..., None].astype(np.float32) * tint


def _chromatin(rng: np.random.Generator, coarse: int, nucleus: Array) -> Array:
    shape = nucleus.shape
    fine, pores = noise(rng, shape, 1.8), noise(rng, shape, 3.2)
    clump, seams = noise(rng, shape, 8), noise(rng, shape, 10)
    tone, level = rng.uniform(0.95, 1.06), rng.random()
    if coarse:
        # Dark blocks with narrow pale channels between them.
        channels = np.exp(-((clump / 0.34) ** 2)) + np.exp(
            -((seams / 0.24) ** 2)
        )
        channels *= np.clip(0.6 + 0.45 * pores, 0.1, 1.3)
        texture = 1.10 + 0.06 * level - 0.40 * np.minimum(channels, 1.2)
        texture += 0.13 * np.tanh(2 * clump) + 0.06 * fine
    else:
        # A fine even net with pale pores.
        texture = 0.68 + 0.06 * level - 0.13 * np.maximum(pores, 0)
        texture += 0.06 * fine + 0.02 * clump
    rim = np.exp(-((nucleus / np.float32(0.20)) ** 2))
    texture = np.maximum(texture, 0.25) * tone + 0.20 * rim
    density = texture[..., None].astype(np.float32) * _NUCLEUS
    # Thin chromatin lets more red through: it looks reddish violet.
    if not coarse:
        density *= np.array([0.93, 1.0, 0.95], np.float32)
    return density


def _nucleoli(
    rng: np.random.Generator, prominent: int, chromatin: Array, nucleus: Array
) -> Array:
    count = rng.integers(1, 4)
    sizes = rng.uniform(0.85, 1.25, count)
    order = rng.random(nucleus.shape, dtype=np.float32)
    ripple = noise(rng, nucleus.shape, 6)
    if not prominent:
        return chromatin
    depth = nucleus.copy()
    rows, columns = np.indices(nucleus.shape, dtype=np.float32)
    for size in sizes:
        # The radius shrinks to what fits, as in a lobe or a folded nucleus.
        size = min(size, max(-depth.min() * 0.72, 0.5))
        fits = depth < min(-size * 1.15, depth.min() * 0.55)
        if depth.min() > -0.55 or not fits.any():
            break
        row, column = np.unravel_index(
            np.argmax(np.where(fits, order, -1)), order.shape
        )
        away = np.hypot(rows - row, columns - column)
        away = away / np.float32(DRAWN_PX_PER_UM) + 0.12 * ripple
        disc = soft_inside(away - size, 0.35)[..., None]
        ring = np.exp(-(((away - size - 0.15) / 0.25) ** 2))[..., None]
        chromatin = chromatin * (1 + 0.28 * ring * (1 - disc))
        chromatin = chromatin + disc * (_NUCLEOLUS - chromatin) * 0.85
        depth = np.maximum(depth, size + 0.35 - away)
    return chromatin.astype(np.float32)


def _scatter(
    rng: np.random.Generator, allowed: Array, count: int
) -> Tuple[Array, Array]:
    """Draw (n, 2) places (x, y) among allowed pixels, and n random sizes."""
    places = np.flatnonzero(allowed)
    jitter = rng.uniform(-0.5, 0.5, (count, 2))
    ranks, sizes = rng.random(count), rng.random(count)
    if not len(places):
        return np.zeros((0, 2)), np.zeros(0)
    picked = places[(ranks * len(places)).astype(int)]
    rows, columns = np.divmod(picked, allowed.shape[1])
    return np.stack([columns, rows], 1) + jitter, sizes


def _granulate(
    rng: np.random.Generator,
    kind: ClassMorphology,
    density: Array,
    body: Array,
    nucleus: Array,
    over_nucleus: bool = False,
) -> Array:
    for granules in kind.granules:
        if over_nucleus and not granules.over_nucleus:
            continue
        edge = granules.radius_um[1] * 0.8
        allowed = body < -edge
        allowed &= (nucleus < 0) if over_nucleus else (nucleus > 0)
        share = granules.over_nucleus if over_nucleus else 1
        area = allowed.sum() / DRAWN_PX_PER_UM**2
        count = int(area * granules.density * share * rng.uniform(0.7, 1.3))
        centres, sizes = _scatter(rng, allowed, count)
        low, high = granules.radius_um
        radii = (low + (high - low) * sizes) * DRAWN_PX_PER_UM
        mask = discs(body.shape, centres, radii)[..., None]
        shade = rng.uniform(0.85, 1.15) + 0.16 * noise(
            rng, body.shape, 1.3 * high * DRAWN_PX_PER_UM
        )
        colour = np.array(granules.colour, np.float32) * shade[..., None]
        # A granule hides what lies below it in part.
        density = density * (1 - 0.5 * mask) + mask * colour
    return density.astype(np.float32)


def _auer_rods(
    rng: np.random.Generator, density: Array, body: Array, nucleus: Array
) -> Array:
    allowed = (body < -0.6) & (nucleus > 0.3)
    centres, _ = _scatter(rng, allowed, int(rng.integers(1, 4)))
    canvas = np.zeros(body.shape, np.uint8)
    for x, y in centres:
        angle, length = rng.uniform(0, np.pi), rng.uniform(0.8, 1.6)
        reach = (
            length * DRAWN_PX_PER_UM * np.array([np.cos(angle), np.sin(angle)])
        )
        start, end = (
            tuple(map(int, np.array([x, y]) + sign * reach))
            for sign in (-1, 1)
        )
        cv2.line(canvas, start, end, 255, 2, cv2.LINE_AA)
    rods = canvas.astype(np.float32) / 255
    rods *= soft_inside(body + 0.3, 0.2)
    return density + rods[..., None] * _AUER


def _vacuolate(
    rng: np.random.Generator, density: Array, body: Array, nucleus: Array
) -> Array:
    """Clear holes in the cytoplasm; where it is scanty, over the nucleus."""
    count = int(rng.integers(4, 10))
    cytoplasm = (body < -1.1) & (nucleus > 0.1)
    room = cytoplasm.sum() / DRAWN_PX_PER_UM**2
    allowed = cytoplasm if room > 10 else (body < -1.1) & (nucleus > -1.7)
    centres, sizes = _scatter(rng, allowed, count)
    radii = (0.60 + 0.50 * sizes) * DRAWN_PX_PER_UM
    hole = discs(body.shape, centres, radii)
    hole = cv2.GaussianBlur(hole, (0, 0), 0.8)
    hole *= soft_inside(body + 0.35, 0.2)
    rim = cv2.GaussianBlur(hole, (0, 0), 2.2)
    rim = np.clip(rim - hole, 0, 1)[..., None]
    return density * (1 - 0.9 * hole[..., None]) * (1 + 0.35 * rim)


def _draw_artefact(rng: np.random.Generator) -> Sprite:
    forms = list(ARTEFACT_FORMS)
    form = forms[rng.choice(len(forms), p=list(ARTEFACT_FORMS.values()))]
    return {
        'smudge': _smudge,
        'bare nucleus': _bare_nucleus,
        'crushed': _crushed,
        'precipitate': _precipitate,
    }[form](rng)


def _warped_patch(
    rng: np.random.Generator, radius: float, ratio: float, ragged: float
) -> Tuple[Array, Array]:
    """Draw the distance in um to a ragged blob, and x / radius along it."""
    half = int(radius * np.sqrt(ratio) * 1.6 * DRAWN_PX_PER_UM) + 6
    x, y = polar_grid(half, DRAWN_PX_PER_UM)
    u, v = turn(x, y, rng.uniform(0, np.pi))
    stretch = np.float32(np.sqrt(ratio))
    u, v = u / stretch, v * stretch
    wave = np.clip(harmonics(rng, np.arctan2(v, u), ragged, 2, 7), -0.4, 0.4)
    blob = np.hypot(u, v) - np.float32(radius) * (1 + wave)
    blob += np.float32(0.35 * ragged * radius) * noise(rng, x.shape, 7)
    return _largest_part(blob), u / np.float32(radius)


def _largest_part(blob: Array) -> Array:
    """Remove stray islands, so that the box holds one blob."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (blob < 0.3).astype(np.uint8)
    )
    if count <= 2:
        return blob
    keep = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.where((parts != keep) & (parts != 0), 1.0, blob)


def _tinted(level: Array, cover: Array, tint: Sequence[float]) -> Sprite:
    """Stain a shape like a nucleus, in another tint."""
    density = (level * cover)[..., None].astype(np.float32)
    return Sprite(density * (_NUCLEUS * np.array(tint, np.float32)), cover)


def _smudge(rng: np.random.Generator) -> Sprite:
    """A burst nucleus: pale violet, streaky, without cytoplasm."""
    blob, along = _warped_patch(
        rng, rng.uniform(4.5, 7.5), rng.uniform(1.0, 2.0), 0.16
    )
    cover = soft_inside(blob, rng.uniform(0.4, 0.9))
    weave = 0.5 * noise(rng, blob.shape, 14) + 0.3 * noise(rng, blob.shape, 4)
    fibres = np.abs(noise(rng, blob.shape, 12) + 0.4 * along)
    level = rng.uniform(0.36, 0.55) * (1 + 0.45 * weave - 0.25 * fibres)
    level = np.clip(level, 0.12, 1.2)[..., None].astype(np.float32)
    tint = _NUCLEUS * np.array([0.92, 1.0, 0.85], np.float32)
    return Sprite(level * tint * cover[..., None], cover)


def _bare_nucleus(rng: np.random.Generator) -> Sprite:
    """A shrunken dark nucleus, structureless, with a frayed edge."""
    blob, _ = _warped_patch(
        rng, rng.uniform(2.8, 4.2), rng.uniform(1, 1.3), 0.07
    )
    cover = soft_inside(blob, 0.35)
    level = rng.uniform(0.85, 1.05) * (1 + 0.05 * noise(rng, blob.shape, 8))
    return _tinted(level, cover, [0.9, 0.95, 1.15])


def _crushed(rng: np.random.Generator) -> Sprite:
    """A cell drawn out into a streak by the spreader."""
    blob, along = _warped_patch(
        rng, rng.uniform(4, 5.5), rng.uniform(2.6, 4), 0.14
    )
    cover = soft_inside(blob, 0.5)
    tail = np.clip(0.75 - 0.5 * along, 0.15, 1.2)
    level = 0.75 * tail * (1 + 0.3 * noise(rng, blob.shape, 5))
    return _tinted(np.clip(level, 0.1, 1.2), cover, [0.92, 1, 0.85])


def _precipitate(rng: np.random.Generator) -> Sprite:
    """A clump of stain precipitate: dark grains on a violet haze."""
    blob, _ = _warped_patch(rng, rng.uniform(3, 5), rng.uniform(1, 1.7), 0.2)
    cover = soft_inside(blob, 0.5)
    count = int((blob < -0.3).sum() / DRAWN_PX_PER_UM**2 * 2.2)
    centres, sizes = _scatter(rng, blob < -0.3, count)
    grains = discs(blob.shape, centres, (0.15 + 0.4 * sizes) * DRAWN_PX_PER_UM)
    haze = 0.28 * cover[..., None] * _NUCLEUS
    grains = (grains * cover)[..., None]
    return Sprite(
        (haze * (1 - grains) + grains * _DIRT).astype(np.float32), cover
    )
