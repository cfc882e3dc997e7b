# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.utils import register_all_modules

from mmleuk.datasets.transforms import UnsqueezeResize
from mmleuk.structures import RegionBoxes, unannotated_area

register_all_modules()


def results(height=64, width=64, boxes=((6, 10, 18, 30),)):
    area = unannotated_area([(0, 0, width // 2, height)], (height, width))
    return dict(
        img=np.zeros((height, width, 3), np.uint8),
        img_shape=(height, width),
        gt_bboxes=RegionBoxes(np.array(boxes, np.float32), unannotated=area),
    )


def test_images_boxes_and_regions_are_widened():
    after = UnsqueezeResize((107, 64), squeeze=0.6)(results())
    assert after['img'].shape == (64, 107, 3)
    assert after['scale_factor'] == pytest.approx((107 / 64, 1))
    np.testing.assert_allclose(
        after['gt_bboxes'].tensor.numpy(),
        [[6 * 107 / 64, 10, 18 * 107 / 64, 30]],
        rtol=1e-5,
    )
    bounds = after['gt_bboxes'].unannotated.bounds
    assert bounds == pytest.approx((32 * 107 / 64, 0, 107, 64), abs=1)


@pytest.mark.parametrize(
    'height, width, size',
    [(64, 64, (32, 53)), (64, 32, (64, 53)), (32, 64, (16, 53))],
)
def test_proportions_are_true_whatever_the_image(height, width, size):
    after = UnsqueezeResize((53, 64), squeeze=0.6)(results(height, width))
    rows, columns = after['img'].shape[:2]
    assert columns / rows == pytest.approx(width / 0.6 / height, rel=0.04)
    assert max(rows, columns) in (53, 64)


def test_a_random_scale_is_drawn_around_it():
    transform = TRANSFORMS.build(
        dict(
            type='RandomResize',
            scale=(107, 64),
            ratio_range=(0.5, 1.5),
            keep_ratio=True,
            resize_type='mmleuk.UnsqueezeResize',
            squeeze=0.6,
        )
    )
    shapes = {transform(results())['img'].shape[:2] for _ in range(8)}
    assert len(shapes) > 2
    for height, width in shapes:
        assert width / height == pytest.approx(1 / 0.6, rel=0.05)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match='squeeze=0'):
        UnsqueezeResize((64, 64), squeeze=0)
    with pytest.raises(ValueError, match='use Resize'):
        UnsqueezeResize((64, 64), squeeze=0.6, keep_ratio=False)
