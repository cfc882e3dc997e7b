# Copyright (c) mmleuk authors. All rights reserved.
import random

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_fields import make_field

from mmleuk.datasets.transforms import CameraJitter
from mmleuk.registry import TRANSFORMS

OFF = dict(blur=0, vignette=0, prob=0, round_prob=0)


def jitter(field, seed=0, **settings):
    random.seed(seed)
    return TRANSFORMS.build(dict(type='mmleuk.CameraJitter', **settings))(
        field
    )['img']


def bright(height=60, width=80):
    return dict(img=np.full((height, width, 3), 200, np.uint8))


def test_nothing_drawn_changes_nothing():
    field = make_field(None, [[15, 25, 45, 40]])
    image = field['img'].copy()
    assert np.array_equal(jitter(field, **OFF), image)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 9999),
    st.floats(0, 3),
    st.floats(0, 1),
    st.floats(0.2, 1.3),
)
def test_any_setting_gives_an_image_and_keeps_boxes(
    seed, blur, vignette, radius
):
    boxes = [[15, 25, 45, 40], [50, 30, 70, 45]]
    field = make_field(None, boxes)
    before = field['img'].shape
    image = jitter(
        field,
        seed,
        blur=blur,
        vignette=vignette,
        min_radius=radius,
        prob=0.7,
        round_prob=0.7,
    )
    assert image.dtype == np.uint8
    assert image.shape == before
    assert field['gt_bboxes'].tensor.tolist() == boxes


def test_the_seed_decides():
    shown = [
        jitter(bright(), seed, vignette=1, prob=1, round_prob=1)
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[0], shown[2])


def test_blur_takes_contrast():
    field = dict(img=np.indices((40, 40)).sum(0)[..., None] % 2 * 255)
    field['img'] = field['img'].repeat(3, 2).astype(np.uint8)
    random.seed(3)
    transform = CameraJitter(**{**OFF, 'blur': 4, 'prob': 1})
    # Quality 100 changes next to nothing.
    transform.jpeg_quality = (100, 100)
    image = transform(field)['img']
    assert image.std() < 60


def test_vignette_darkens_the_corners_only():
    random.seed(1)
    transform = CameraJitter(
        **{**OFF, 'vignette': 1, 'prob': 1}, jpeg_quality=(100, 100)
    )
    image = transform(bright())['img'].astype(int)
    assert image[30, 40].min() >= 197
    assert image[0, 0].max() < image[30, 40].min() - 20


@pytest.mark.parametrize('boxes', [None, [[0, 0, 12, 10]]])
def test_the_round_view_cuts_no_box(boxes):
    field = bright(80, 80)
    if boxes:
        field['gt_bboxes'] = np.array(boxes, np.float32)
    settings = {**OFF, 'round_prob': 1, 'min_radius': 0.9}
    image = jitter(field, **settings)
    if boxes:
        assert (image == 200).all()
    else:
        assert (image[0, 0] == 0).all()
        assert (image[40, 40] == 200).all()
        share = (image[..., 0] > 0).mean()
        assert 0.6 < share < 1


def test_jpeg_is_that_of_opencv():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    settings = {**OFF, 'prob': 1}
    shown = jitter(dict(img=image), jpeg_quality=(50, 50), **settings)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    assert np.array_equal(shown, cv2.imdecode(data, cv2.IMREAD_COLOR))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(blur=-1), 'blur=-1'),
        (dict(min_radius=0), 'min_radius=0'),
        (dict(min_radius=2), 'min_radius=2'),
        (dict(vignette=2), r'vignette=2, expected it in \[0, 1\]'),
        (dict(prob=-1), r'prob=-1, expected it in \[0, 1\]'),
        (dict(round_prob=3), r'round_prob=3, expected it in \[0, 1\]'),
        (dict(jpeg_quality=(90, 40)), r'jpeg_quality=\(90, 40\)'),
        (dict(jpeg_quality=(0, 40)), r'jpeg_quality=\(0, 40\)'),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CameraJitter(**settings)
