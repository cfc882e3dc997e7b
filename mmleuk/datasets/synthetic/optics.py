# Copyright (c) mmleuk authors. All rights reserved.
"""Microscope and camera: from optical density to pixels."""

from typing import Dict, NamedTuple, Tuple

import cv2
import numpy as np

from mmleuk.datasets.naming import LLD_SUBSETS, normalise_subset

from .texture import Array, noise


class Magnification(NamedTuple):
    """An objective.

    Args:
        code (int): Number in file names, ten times the magnification.
        px_per_um (float): Pixels per micrometre of film.
        cells (float): Mean number of white cells per field.
    """

    code: int
    px_per_um: float
    cells: float


class Microscope(NamedTuple):
    """A microscope.

    Args:
        blur_um (float): Standard deviation of its blur at best focus.
        defocus_um (float): Spread of the blur that focusing by hand adds.
        tilt (float): Relative difference of the blur over a field.
        vignette (float): Loss of light in the corners.
        flare (float): Share of stray light, which lowers contrast.
        fringe_px (float): Shift between red and blue in the corners.
    """

    blur_um: float
    defocus_um: float
    tilt: float
    vignette: float
    flare: float
    fringe_px: float


class Camera(NamedTuple):
    """A camera.

    Args:
        white (tuple[float, float, float]): Colour of empty film in R, G, B.
        gamma (float): Exponent of its tone curve, 1 = none.
        saturation (float): Gain of the colour, 1 = none.
        noise (float): Standard deviation of its noise in grey levels.
        sharpen (float): Strength of its unsharp mask.
    """

    white: Tuple[float, float, float]
    gamma: float
    saturation: float
    noise: float
    sharpen: float


MAGNIFICATIONS: Dict[str, Magnification] = {
    '100X': Magnification(1000, 8.0, 4.2),
    '40X': Magnification(400, 3.2, 24.0),
    '10X': Magnification(100, 0.8, 45.0),
}
MICROSCOPES: Dict[str, Microscope] = {
    'H': Microscope(0.06, 0.05, 0.4, 0.04, 0.00, 0.0),
    'L': Microscope(0.16, 0.07, 0.8, 0.22, 0.07, 1.2),
}
CAMERAS: Dict[str, Camera] = {
    'C1': Camera((254, 229, 202), 1.0, 1.0, 1.2, 1.1),
    'C2': Camera((206, 212, 203), 0.92, 1.15, 3.2, 0.1),
}


def parse_subset(subset: str) -> Tuple[Microscope, Magnification, Camera]:
    """Look up the equipment of a subset, whose name may have any casing.

    Raises:
        ValueError: If there is no such subset.
    """
    name = normalise_subset(subset)
    if name not in LLD_SUBSETS:
        raise ValueError(
            f'got the subset {subset!r}, expected one of '
            f'{", ".join(LLD_SUBSETS)}'
        )
    microscope, magnification, camera = name.split('_')
    return (
        MICROSCOPES[microscope],
        MAGNIFICATIONS[magnification],
        CAMERAS[camera],
    )


def photograph(rng: np.random.Generator, density: Array, subset: str) -> Array:
    """Take a picture of a field.

    Args:
        rng (np.random.Generator): Random generator.
        density (np.ndarray): (H, W, 3) float32 optical density in R, G, B.
        subset (str): Name such as ``H_100X_C1``.

    Returns:
        np.ndarray: (H, W, 3) uint8 image in B, G, R.
    """
    microscope, magnification, camera = parse_subset(subset)
    light = np.exp(-np.maximum(density, 0))
    light = _focus(rng, light, microscope, magnification.px_per_um)
    light = light * (1 - microscope.flare) + microscope.flare
    if microscope.fringe_px:
        light = _fringe(light, microscope.fringe_px)
    light *= _illumination(rng, light.shape[:2], microscope)[..., None]
    if camera.sharpen:
        soft = cv2.GaussianBlur(light, (0, 0), 1.2)
        light = light + np.float32(camera.sharpen) * (light - soft)
    light = np.clip(light, 0, 1.15) ** np.float32(camera.gamma)
    grey = light.mean(2, keepdims=True)
    light = grey + np.float32(camera.saturation) * (light - grey)
    balance = rng.normal(1, 0.008, 3).astype(np.float32)
    image = light * np.array(camera.white, np.float32) * balance
    # Noise of a Bayer sensor is smooth over neighbouring pixels.
    fine = rng.standard_normal(image.shape, dtype=np.float32)
    soft = cv2.GaussianBlur(fine, (0, 0), 0.9)
    image += camera.noise * (0.5 * fine + 1.1 * soft)
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image[..., ::-1])


def _focus(
    rng: np.random.Generator,
    light: Array,
    microscope: Microscope,
    px_per_um: float,
) -> Array:
    """Blur a field, more in one part than in another."""
    defocus = abs(rng.normal(0, microscope.defocus_um))
    # A lens of lower power resolves less, but has more depth of focus.
    blur_um = np.hypot(microscope.blur_um + 0.5 * defocus, 0.35 / px_per_um)
    sharp = blur_um * px_per_um
    soft = sharp * (1 + microscope.tilt * rng.uniform(0.3, 1.2))
    where = _ramp(rng, light.shape[:2])[..., None]
    near = cv2.GaussianBlur(light, (0, 0), sharp)
    far = cv2.GaussianBlur(light, (0, 0), soft)
    return near + where * (far - near)


def _grid(shape: Tuple[int, int]) -> Tuple[Array, Array]:
    """Make coordinates y and x from -1 to 1."""
    height, width = shape
    return np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]


def _ramp(rng: np.random.Generator, shape: Tuple[int, int]) -> Array:
    """Draw a soft change from 0 to 1 in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = _grid(shape)
    ramp = 0.5 + 0.5 * (x * np.cos(angle) + y * np.sin(angle))
    wobble = noise(rng, shape, max(shape) / 2.5)
    return np.clip(ramp + 0.25 * wobble, 0, 1).astype(np.float32)


def _illumination(
    rng: np.random.Generator, shape: Tuple[int, int], microscope: Microscope
) -> Array:
    """Draw the light over a field, darker in the corners."""
    cx, cy = rng.normal(0, 0.2, 2)
    y, x = _grid(shape)
    corner = ((x - cx) ** 2 + (y - cy) ** 2) / 2
    slope = 0.6 * microscope.vignette * (_ramp(rng, shape) - 0.5)
    level = rng.normal(1, 0.012)
    return (level - microscope.vignette * corner + slope).astype(np.float32)


def _fringe(light: Array, shift: float) -> Array:
    """Scale red and blue differently: lateral chromatic aberration."""
    height, width = light.shape[:2]
    reach = np.hypot(height, width) / 2
    middle = np.array([[width - 1], [height - 1]]) / 2
    light = light.copy()
    for channel, sign in ((0, 1), (2, -1)):
        scale = 1 + sign * shift / reach
        light[..., channel] = cv2.warpAffine(
            light[..., channel],
            np.hstack([scale * np.eye(2), (1 - scale) * middle]),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
    return light
