# Copyright (c) mmleuk authors. All rights reserved.
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.datasets.transforms import StainJitter
from mmleuk.registry import TRANSFORMS


def make_image(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (17, 23, 3), np.uint8)
    # The darkest and the brightest pixels have no room on one side.
    image[0, 0], image[0, 1] = 0, 255
    return image


def jitter(image, seed, **settings):
    random.seed(seed)
    transform = TRANSFORMS.build(
        dict(type='mmleuk.StainJitter', prob=1, **settings)
    )
    return transform(dict(img=image.copy()))['img']


@given(st.integers(0, 999))
def test_no_jitter_changes_nothing_but_by_rounding(seed):
    image = make_image(seed)
    result = jitter(image, seed, factor=0, shift=0)
    assert np.abs(result.astype(int) - image).max() <= 1


@settings(max_examples=30)
@given(st.integers(0, 999), st.floats(0, 0.99), st.floats(0, 3))
def test_any_jitter_gives_an_image(seed, factor, shift):
    image = make_image(seed)
    result = jitter(image, seed, factor=factor, shift=shift)
    assert result.dtype == np.uint8
    assert result.shape == image.shape


def test_the_seed_decides():
    image = make_image(0)
    assert np.array_equal(jitter(image, 1), jitter(image, 1))
    assert not np.array_equal(jitter(image, 1), jitter(image, 2))


def test_one_stain_alone_keeps_its_hue():
    # A pixel of one stain has a density along the vector of that stain, and
    # factors leave it there.
    stain = np.array([0.29, 0.70, 0.65])  # haematoxylin in BGR
    pixel = 256 * np.exp(-1.2 * stain) - 1
    image = np.full((2, 2, 3), np.rint(pixel), np.uint8)
    for seed in range(5):
        result = jitter(image, seed, factor=0.4, shift=0)[0, 0]
        density = -np.log((result.astype(float) + 1) / 256)
        cosine = density @ stain / np.linalg.norm(density)
        assert cosine / np.linalg.norm(stain) > 0.9995


def test_larger_shifts_change_more():
    image = make_image(0)
    changes = [
        np.abs(jitter(image, 3, factor=0, shift=shift) - image.astype(float))
        for shift in (0.02, 0.2)
    ]
    assert changes[0].mean() < changes[1].mean()


def test_probability():
    image = make_image(0)
    random.seed(0)
    transform = StainJitter(prob=0.3)
    changed = [
        not np.array_equal(transform(dict(img=image))['img'], image)
        for _ in range(400)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(factor=1), r'factor=1, expected it in \[0, 1\)'),
        (dict(shift=-0.1), 'shift=-0.1, expected 0 or more'),
        (dict(prob=2), r'prob=2, expected it in \[0, 1\]'),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        StainJitter(**settings)


@pytest.mark.parametrize(
    'image', [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)]
)
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match='expected uint8 and'):
        StainJitter(prob=1)(dict(img=image))
