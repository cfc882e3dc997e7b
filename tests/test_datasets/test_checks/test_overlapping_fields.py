# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmleuk.datasets.checks.overlapping_fields import find_overlaps, shrink

SIDE = 240


def film(seed, size=480):
    """A blood film: erythrocytes and a few dark nuclei."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), 210, np.uint8)
    for colour, count in (((150, 130, 170), 90), ((120, 40, 110), 9)):
        for x, y in rng.integers(0, size, (count, 2)).tolist():
            axes = tuple(rng.integers(9, 16, 2).tolist())
            cv2.ellipse(image, (x, y), axes, 0, 0, 360, colour, -1)
    return image


def crop(image, x, y):
    return image[y : y + SIDE, x : x + SIDE]


def find(**images):
    thumbnails = {name: shrink(image) for name, image in images.items()}
    return list(find_overlaps(thumbnails, [list(images)], images.__getitem__))


@pytest.mark.parametrize(
    'x, y', [(0, 0), (120, 30), (-40, 130), (-160, -20), (170, 130)]
)
def test_crops_of_one_film_are_found_with_their_shift(x, y):
    image = film(0)
    left, top = max(0, -x), max(0, -y)
    one, two = crop(image, left, top), crop(image, left + x, top + y)
    (pair,) = find(one=one, two=two)
    assert (pair.one, pair.two) == ('one', 'two')
    assert np.abs(np.subtract(pair.shift, (x, y))).max() <= 2
    share = (1 - abs(x) / SIDE) * (1 - abs(y) / SIDE)
    assert pair.share == pytest.approx(share, abs=0.02)
    assert str(pair).startswith('one ~ two: ')


def test_light_focus_and_compression_may_differ():
    image = film(1)
    one, two = crop(image, 0, 0), crop(image, 90, 70)
    two = cv2.GaussianBlur(two, (0, 0), 1.5) * 0.8 + 20
    two = two + np.random.default_rng(0).normal(0, 3, two.shape)
    two = np.clip(two, 0, 255).astype(np.uint8)
    code = cv2.imencode('.jpg', two, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    (pair,) = find(one=one, two=cv2.imdecode(code, cv2.IMREAD_COLOR))
    assert np.abs(np.subtract(pair.shift, (90, 70))).max() <= 2


def test_other_fields_are_not_found():
    fields = {str(seed): crop(film(seed), 0, 0) for seed in range(12)}
    assert find(**fields) == []


def test_one_dark_cell_alone_is_no_overlap():
    fields = []
    for seed, place in enumerate([(215, 215), (25, 25)]):
        image = crop(film(seed), 0, 0)
        cv2.circle(image, place, 18, (30, 0, 30), -1)
        fields.append(image)
    assert find(one=fields[0], two=fields[1]) == []


def test_blank_fields_and_other_shapes_are_left_out():
    blank = np.full((SIDE, SIDE, 3), 200, np.uint8)
    one = crop(film(0), 0, 0)
    wide = film(0)[:SIDE]
    assert find(one=blank, two=blank.copy(), three=one, four=wide) == []


def test_only_fields_of_a_group_are_compared():
    images = dict(one=film(0), two=film(0), three=film(0))
    thumbnails = {name: shrink(image) for name, image in images.items()}
    groups = [['one'], ['two', 'three']]
    pairs = find_overlaps(thumbnails, groups, images.__getitem__)
    assert [(pair.one, pair.two) for pair in pairs] == [('two', 'three')]
