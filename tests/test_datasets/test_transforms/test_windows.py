# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes
from small_fields import HEIGHT, WIDTH, annotated_mask, make_field

from mmleuk.datasets.transforms.windows import annotated_parts, cut_window


def test_parts():
    assert annotated_parts(make_field(None, [])) is None
    # A region that is the whole field is as good as none.
    assert annotated_parts(make_field([[0, 0, WIDTH, HEIGHT]], [])) is None
    assert annotated_parts(make_field([], [])).shape == (0, 4)
    parts = annotated_parts(make_field([[5, 6, 20, 30], [50, 40, 90, 70]], []))
    assert sorted(parts.tolist()) == [[5, 6, 20, 30], [50, 40, 90, 70]]
    # Two that touch are one part, told by its bounds.
    parts = annotated_parts(make_field([[5, 6, 20, 30], [20, 6, 40, 20]], []))
    assert parts.tolist() == [[5, 6, 40, 30]]


def test_boxes_without_regions_are_refused():
    field = make_field(None, [[1, 1, 9, 9]])
    field['gt_bboxes'] = HorizontalBoxes(field['gt_bboxes'].tensor)
    with pytest.raises(TypeError, match='expected RegionBoxes'):
        annotated_parts(field)


def test_cut():
    boxes = [[10, 10, 30, 30], [40, 40, 60, 60], [0, 0, 8, 8]]
    field = make_field([[20, 20, 70, 60]], boxes)
    before = field['gt_bboxes'].tensor.clone()
    cut = cut_window(field, (15, 12, 55, 62), min_visible=0.7)
    assert cut['img'].shape == (50, 40, 3)
    assert cut['img'][0, 0].tolist() == [15, 12, 1]
    # The first is seen for 15 x 18 of 20 x 20, the second for 15 x 20.
    assert cut['gt_bboxes'].tensor.tolist() == [
        [0, 0, 15, 18],
        [25, 28, 40, 48],
    ]
    assert cut['gt_ignore_flags'].tolist() == [True, False]
    assert (
        cut['gt_bboxes_labels'].tolist()
        == field['gt_bboxes_labels'][:2].tolist()
    )
    mask = annotated_mask(cut)
    assert mask[8:48, 5:40].all()
    assert mask.sum() == 40 * 35
    point = cut['homography_matrix'] @ [20, 20, 1]
    assert point.tolist() == [5, 8, 1]
    # The source is as it was.
    assert np.array_equal(field['gt_bboxes'].tensor, before)
    assert field['img'].shape == (HEIGHT, WIDTH, 3)
    assert not field['gt_ignore_flags'].any()
