# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from small_fields import HEIGHT, WIDTH, annotated_mask, make_field

from mmleuk.datasets.transforms import PackLLDInputs, RandomTranspose
from mmleuk.registry import TRANSFORMS


def test_everything_is_transposed():
    field = make_field(
        [[10, 20, 60, 50]], [[15, 25, 45, 40], [50, 30, 70, 45]]
    )
    field['scale_factor'] = (0.5, 0.6)
    shift = np.array([[1, 0, 3], [0, 1, 5], [0, 0, 1]], np.float32)
    field['homography_matrix'] = shift
    image, mask = field['img'], annotated_mask(field)
    results = RandomTranspose(prob=1)(field)
    assert results['img_shape'] == (WIDTH, HEIGHT)
    assert np.array_equal(results['img'], image.transpose(1, 0, 2))
    assert np.array_equal(annotated_mask(results), mask.T)
    assert results['scale_factor'] == (0.6, 0.5)
    assert (results['homography_matrix'] @ [1, 2, 1]).tolist() == [7, 4, 1]
    sample = PackLLDInputs()(results)['data_samples']
    assert sample.gt_instances.bboxes.tensor.tolist() == [
        [25, 15, 40, 45],
        [30, 50, 45, 70],
    ]
    assert sample.gt_instances.labels.tolist() == [0, 1]


def test_boxes_may_be_arrays():
    field = dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        gt_bboxes=np.array([[10, 20, 60, 50]], np.float32),
    )
    results = RandomTranspose(prob=1)(field)
    assert results['gt_bboxes'].tolist() == [[20, 10, 50, 60]]


def test_probability():
    transform = TRANSFORMS.build(dict(type='mmleuk.RandomTranspose', prob=0.3))
    shapes = [transform(make_field(None, []))['img_shape'] for _ in range(500)]
    share = sum(shape == (WIDTH, HEIGHT) for shape in shapes) / 500
    assert share == pytest.approx(0.3, abs=0.07)
    assert RandomTranspose(prob=0)(make_field(None, []))['img_shape'] == (
        HEIGHT,
        WIDTH,
    )
    with pytest.raises(ValueError, match=r'expected it in \[0, 1\]'):
        RandomTranspose(prob=2)


def test_images_alone():
    results = RandomTranspose(prob=1)(dict(img=np.zeros((4, 6, 3))))
    assert results['img_shape'] == (6, 4)
