# Copyright (c) mmleuk authors. All rights reserved.
import itertools

import pytest

from mmleuk.structures.metainfo import LLD_PALETTE
from mmleuk.visualization.colours import (
    BLACK,
    WHITE,
    contrast,
    luminance,
    text_colour,
)


def test_luminance_is_that_of_wcag():
    assert luminance(BLACK) == 0
    assert luminance(WHITE) == pytest.approx(1)
    assert contrast(WHITE, BLACK) == pytest.approx(21)
    # An example of the guidelines' readers: pure red on white.
    assert contrast((255, 0, 0), WHITE) == pytest.approx(4.0, abs=0.01)


def test_text_is_readable_on_any_background():
    levels = (0, 51, 102, 119, 128, 153, 204, 255)
    backgrounds = [*itertools.product(levels, repeat=3), *LLD_PALETTE]
    for background in backgrounds:
        assert contrast(text_colour(background), background) >= 4.5


def test_text_is_dark_on_light():
    assert text_colour((255, 220, 0)) == BLACK
    assert text_colour((60, 0, 90)) == WHITE
