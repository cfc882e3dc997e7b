# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence, Tuple

RGB = Tuple[int, int, int]

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)
# Text on white.
INK: RGB = (25, 25, 25)


def luminance(colour: Sequence[int]) -> float:
    """Relative luminance (WCAG 2) of an RGB colour, in [0, 1]."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: Sequence[int], second: Sequence[int]) -> float:
    """Contrast ratio of two RGB colours (WCAG 2), in [1, 21].

    Text is readable from 4.5 on.
    """
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def text_colour(background: Sequence[int]) -> RGB:
    """Choose black or white, whichever is easier to read on an RGB colour.

    The contrast is at least 4.5, whatever the background.
    """
    return max((BLACK, WHITE), key=lambda colour: contrast(colour, background))
