# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmleuk.apis.sharpness import measure_sharpness


@pytest.fixture
def field(make_film):
    rng = np.random.default_rng(0)
    cells = [
        (*rng.integers(0, 512, 2).tolist(), 40, i % 2, 0) for i in range(40)
    ]
    return make_film(512, 512, cells)


def test_blur_lowers_it(field):
    values = [measure_sharpness(field)]
    values += [
        measure_sharpness(cv2.GaussianBlur(field, (0, 0), sigma))
        for sigma in (0.5, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 20 * values[-1]


def test_the_size_of_the_scan_does_not_matter(field):
    fine = cv2.resize(field, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
    assert measure_sharpness(fine) == pytest.approx(measure_sharpness(field))


def test_a_blank_image_has_none():
    assert measure_sharpness(np.full((9, 3000, 3), 200, np.uint8)) == 0
    assert measure_sharpness(np.full((600, 700, 3), 200.0)) == 0
