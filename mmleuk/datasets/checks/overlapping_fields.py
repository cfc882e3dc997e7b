# Copyright (c) mmleuk authors. All rights reserved.
"""Finds fields of one film that show the same cells."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Callable, Iterator, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

# Longer side, in pixels, of the thumbnails that all pairs are compared by,
# and of the images that similar pairs are looked at in again.
THUMBNAIL_SIDE, _FINE_SIDE = 80, 320
# Share of the area in which two fields must overlap to be found.
MIN_OVERLAP = 0.08
# Pairs with this t of the correlation of thumbnails are looked at again.
_MIN_SCORE = 25
# Correlation of the outlines of cells in the overlap of the larger images.
MIN_CORRELATION = 0.82
# Pixels by which the shift of thumbnails may be wrong in the larger images.
_MARGIN = 6
# Outlines are what lies between these blurs, in pixels of the larger images,
# and is stronger than noise, in grey values.
_FINE_BLUR, _COARSE_BLUR, _NOISE = 1, 8, 0.5
# Overlaps with a lower standard deviation of grey values, or of outlines, are
# blank.
_MIN_CONTRAST, _MIN_OUTLINE = 3, 0.1


@dataclass
class Overlap:
    """Two fields that show the same cells.

    Args:
        one, two (str): The image files.
        shift (tuple[int]): Where the left upper corner of the second image is
            in the first one, in pixels.
        share (float): Share of the first image's area that is in the second.
        correlation (float): Correlation of the outlines of cells there.
    """

    one: str
    two: str
    shift: Tuple[int, int]
    share: float
    correlation: float

    def __str__(self) -> str:
        return (
            f'{self.one} ~ {self.two}: {self.share:.0%} of the area, '
            f'shifted by {self.shift} px'
        )


def shrink(image: np.ndarray, side: int = THUMBNAIL_SIDE) -> np.ndarray:
    """Take the green channel of an image in small.

    Args:
        image (np.ndarray): Shape (h, w, 3), uint8, BGR.
        side (int): Longer side of the result in pixels.

    Returns:
        np.ndarray: Shape (h', w'), uint8.
    """
    scale = side / max(image.shape)
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return cv2.resize(
        image[..., 1], (width, height), interpolation=cv2.INTER_AREA
    )


class _Windows:
    """Means and deviations of a thumbnail in its overlap with another one.

    Two images of one size overlap in a rectangle that depends on the shift
    alone, so that only their product takes a Fourier transform a pair. Arrays
    over shifts have an entry for each (dy, dx), negative ones at the end, as
    Fourier transforms have.

    Args:
        thumbnail (np.ndarray): Shape (h, w), uint8.
    """

    def __init__(self, thumbnail: np.ndarray) -> None:
        pixels = thumbnail.astype(np.float32) - np.median(thumbnail)
        self.size = [next_fast_len(2 * n - 1, real=True) for n in pixels.shape]
        self.transform = rfft2(pixels, self.size)
        shifts = [_shifts(size) for size in self.size]
        rows, columns = (
            (np.clip(shift, 0, n), np.clip(n + shift, 0, n))
            for shift, n in zip(shifts, pixels.shape)
        )
        # Where shifts exceed the image, nothing overlaps.
        self.count = np.maximum(rows[1] - rows[0], 0)[:, None] * np.maximum(
            columns[1] - columns[0], 0
        )
        scale = 1 / np.maximum(self.count, 1)
        mean, square = (
            _window_sums(values, rows, columns) * scale
            for values in (pixels, pixels**2)
        )
        self.mean = mean.astype(np.float32)
        variance = np.maximum(square - mean**2, 0)
        self.deviation = np.sqrt(variance).astype(np.float32)

    def best_shift(self, other: '_Windows') -> Tuple[float, int, int]:
        """Find where another thumbnail of the same size fits best.

        Returns:
            tuple[float, int, int]: Student's t of the correlation as if
            pixels were independent, and the shift in y and x.
        """
        product = irfft2(self.transform * other.transform.conj(), self.size)
        mean, deviation = _opposite(other.mean), _opposite(other.deviation)
        covariance = product / np.maximum(self.count, 1) - self.mean * mean
        valid = (
            (self.count >= MIN_OVERLAP * self.count[0, 0])
            & (self.deviation >= _MIN_CONTRAST)
            & (deviation >= _MIN_CONTRAST)
        )
        scale = np.where(valid, self.deviation * deviation, 1)
        correlation = np.clip(covariance / scale, 0, 0.999) * valid
        score = correlation**2 / (1 - correlation**2) * self.count
        row, column = np.unravel_index(score.argmax(), score.shape)
        down, right = (
            int(index if index <= size // 2 else index - size)
            for index, size in zip((row, column), self.size)
        )
        return float(np.sqrt(score[row, column])), down, right


def _shifts(size: int) -> np.ndarray:
    """Shift of each entry of a Fourier transform along one axis, (size, )."""
    return np.fft.fftfreq(size, 1 / size).round().astype(int)


def _window_sums(
    values: np.ndarray, rows: Sequence, columns: Sequence
) -> np.ndarray:
    """Sums over rectangles, given where they begin and end on each axis."""
    sums = cv2.integral(values, sdepth=cv2.CV_64F)
    (top, bottom), (left, right) = rows, columns
    return (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(top, right)]
        - sums[np.ix_(bottom, left)]
        + sums[np.ix_(top, left)]
    )


def _opposite(values: np.ndarray) -> np.ndarray:
    """Put the entry of each shift to the opposite shift."""
    return np.roll(values[::-1, ::-1], 1, axis=(0, 1))


def find_overlaps(
    thumbnails: Mapping[str, np.ndarray],
    groups: Sequence[Sequence[str]],
    load: Callable[[str], np.ndarray],
) -> Iterator[Overlap]:
    """Find the pairs of fields that overlap.

    All pairs of a group are compared by thumbnails, at all shifts; those that
    correlate are looked at in larger images.

    Args:
        thumbnails (Mapping[str, np.ndarray]): What :func:`shrink` makes of
            each image file.
        groups (Sequence[Sequence[str]]): Files of fields that may overlap.
            Images of different shapes are not compared.
        load (Callable): Reads the image of a file, BGR.

    Yields:
        Overlap: A pair.
    """

    @lru_cache(maxsize=256)
    def load_fine(path: str) -> Tuple[np.ndarray, Tuple[int, ...]]:
        image = load(path)
        return _outline(shrink(image, _FINE_SIDE)), image.shape[:2]

    for group in groups:
        windows = {path: _Windows(thumbnails[path]) for path in group}
        for one, two in combinations(group, 2):
            if thumbnails[one].shape != thumbnails[two].shape:
                continue
            score, *shift = windows[one].best_shift(windows[two])
            if score < _MIN_SCORE:
                continue
            scale = _FINE_SIDE / max(thumbnails[one].shape)
            (first, shape), (second, other) = load_fine(one), load_fine(two)
            if shape != other:
                continue
            fit = _look_again(first, second, np.multiply(shift, scale))
            if fit is not None:
                correlation, fine = fit
                ratio = max(shape) / max(first.shape)
                rest = 1 - np.abs(fine) / first.shape
                y, x = (round(float(number * ratio)) for number in fine)
                yield Overlap(
                    one, two, (x, y), float(rest.prod()), correlation
                )


def _outline(image: np.ndarray) -> np.ndarray:
    """Draw the outlines of cells, all equally strong.

    Otherwise the correlation of two overlaps with one dark nucleus each is
    high, whatever lies around them.

    Args:
        image (np.ndarray): Shape (h, w), uint8.

    Returns:
        np.ndarray: Values in [-1, 1], float32, shape (h, w).
    """
    fine = cv2.GaussianBlur(image.astype(np.float32), (0, 0), _FINE_BLUR)
    contrast = fine - cv2.GaussianBlur(fine, (0, 0), _COARSE_BLUR)
    limit = max(float(np.median(np.abs(contrast))), _NOISE)
    return np.clip(contrast / limit, -1, 1)


def _look_again(
    first: np.ndarray, second: np.ndarray, shift: np.ndarray
) -> Optional[Tuple[float, np.ndarray]]:
    """Fit two images of outlines near a shift (dy, dx).

    Returns:
        tuple[float, np.ndarray] | None: Correlation and the better shift;
        None if they don't correlate.
    """
    shift = np.round(shift).astype(int)
    low = np.maximum(shift, 0)
    high = np.minimum(first.shape, second.shape + shift)
    part = first[low[0] : high[0], low[1] : high[1]]
    inner = low + _MARGIN - shift, high - _MARGIN - shift
    template = second[inner[0][0] : inner[1][0], inner[0][1] : inner[1][1]]
    if min(template.shape) < _MARGIN or template.std() < _MIN_OUTLINE:
        return None
    fits = cv2.matchTemplate(part, template, cv2.TM_CCOEFF_NORMED)
    place = np.unravel_index(fits.argmax(), fits.shape)
    if fits[place] < MIN_CORRELATION:
        return None
    return float(fits[place]), shift + np.array(place) - _MARGIN
