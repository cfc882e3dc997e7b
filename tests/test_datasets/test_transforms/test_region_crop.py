# Copyright (c) mmleuk authors. All rights reserved.
import random

import pytest
from small_fields import HEIGHT, WIDTH, make_field

from mmleuk.datasets.transforms import PackLLDInputs, RegionCrop
from mmleuk.registry import TRANSFORMS


def test_crop_is_the_region_and_wholly_annotated():
    field = make_field(
        [[20, 10, 60, 50]], [[25, 15, 40, 30], [50, 40, 70, 60]]
    )
    cropped = RegionCrop()(field)
    assert cropped['img'].shape == (40, 40, 3)
    assert cropped['img'][0, 0].tolist() == [20, 10, 1]
    sample = PackLLDInputs()(cropped)['data_samples']
    assert len(sample.ignored_instances) == 0
    assert sample.gt_instances.bboxes.tensor.tolist() == [
        [5, 5, 20, 20],
        [30, 30, 40, 40],
    ]
    assert sample.gt_instances.labels.tolist() == [0, 1]
    assert sample.img_shape == (40, 40)


def test_one_of_several_regions():
    regions = [[0, 0, 20, 20], [50, 30, 90, 60]]
    random.seed(0)
    shapes = {
        RegionCrop()(make_field(regions, []))['img_shape'] for _ in range(20)
    }
    assert shapes == {(20, 20), (30, 40)}


def test_border_of_a_pixel_counts_as_unannotated():
    cropped = RegionCrop()(make_field([[20.5, 10, 60.7, 50]], []))
    assert cropped['img_shape'] == (40, 39)
    assert cropped['img'][0, 0].tolist() == [21, 10, 1]
    assert RegionCrop()(make_field([[20.6, 10, 21.4, 50]], [])) is None


def test_whole_and_nothing():
    whole = make_field(None, [[1, 1, 9, 9]])
    assert RegionCrop()(whole) is whole
    assert whole['img_shape'] == (HEIGHT, WIDTH)
    assert RegionCrop()(make_field([], [])) is None


@pytest.mark.parametrize('min_visible, expected', [(0, False), (0.5, True)])
def test_cut_cells(min_visible, expected):
    field = make_field([[20, 10, 60, 50]], [[50, 20, 80, 30]])
    crop = TRANSFORMS.build(
        dict(type='mmleuk.RegionCrop', min_visible=min_visible)
    )
    assert crop(field)['gt_ignore_flags'].tolist() == [expected]
