# Copyright (c) mmleuk authors. All rights reserved.
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_fields import HEIGHT, WIDTH, annotated_mask, make_field

from mmleuk.datasets.transforms import CachedRegionMosaic, PackLLDInputs
from mmleuk.registry import TRANSFORMS


def random_fields(rng, count):
    fields = []
    for number in range(1, count + 1):
        low = rng.integers(0, [WIDTH - 40, HEIGHT - 40], 2)
        size = rng.integers(15, 40, 2)
        region = [*low, *(low + size)]
        centers = rng.uniform(low, low + size, (3, 2))
        boxes = np.concatenate([centers - 6, centers + 6], axis=1)
        boxes = boxes.clip(0, [WIDTH, HEIGHT] * 2)
        fields.append(make_field([region], boxes.tolist(), number))
    return fields


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(2, 2), (3, 2), (1, 1)]),
    st.sampled_from([(100, 80), (90, 120), (61, 47)]),
    st.booleans(),
)
def test_against_pixels(seed, grid, scale, cut_at_edges):
    """Every pixel, box and annotated spot is where its field has it."""
    random.seed(seed)
    fields = random_fields(np.random.default_rng(seed), 5)
    truth = {
        number: (
            field['gt_bboxes'].tensor.numpy().copy(),
            annotated_mask(field),
        )
        for number, field in enumerate(fields, start=1)
    }
    mosaic = CachedRegionMosaic(
        scale,
        grid=grid,
        cut_at_edges=cut_at_edges,
        min_visible=0,
        pad_val=0,
        max_cached_images=6,
    )
    for field in fields:
        results = mosaic(field)
    image = results['img']
    assert image.shape == (scale[1], scale[0], 3)
    assert results['img_shape'] == image.shape[:2]
    assert 'homography_matrix' not in results

    annotated = annotated_mask(results)
    shown = set()
    for y, x in np.ndindex(*image.shape[:2]):
        from_x, from_y, number = image[y, x].tolist()
        if number == 0:
            continue
        shown.add(number)
        if annotated[y, x]:
            assert truth[number][1][from_y, from_x]
    # The field at hand is always among them, and no other twice, as long as
    # the cache has enough of them.
    assert 5 in shown
    if grid[0] * grid[1] <= 5:
        assert len(shown) == grid[0] * grid[1]

    for x1, y1, x2, y2 in results['gt_bboxes'].tensor.tolist():
        middle = image[int((y1 + y2) / 2), int((x1 + x2) / 2)]
        shift = middle[:2] - np.array([int((x1 + x2) / 2), int((y1 + y2) / 2)])
        back = np.array([x1, y1, x2, y2]) + np.tile(shift, 2)
        boxes = truth[middle[2]][0]
        inside = (boxes[:, :2] <= back[:2] + 1e-3).all(1) & (
            boxes[:, 2:] >= back[2:] - 1e-3
        ).all(1)
        assert inside.any()
    assert len(results['gt_bboxes'].tensor) == len(results['gt_bboxes_labels'])


def test_window_holds_the_region():
    """A region that fits is seen whole, its surroundings un-annotated."""
    field = make_field([[30, 20, 60, 50]], [[25, 30, 45, 40]])
    mosaic = CachedRegionMosaic((80, 80), grid=(2, 2))
    results = mosaic(field)
    # Four times the same field, which is all that the cache has.
    assert annotated_mask(results).sum() == 4 * 30 * 30
    sample = PackLLDInputs()(results)['data_samples']
    assert len(sample.gt_instances) == 4
    sizes = sample.gt_instances.bboxes.tensor[:, 2:]
    sizes = sizes - sample.gt_instances.bboxes.tensor[:, :2]
    assert (sizes[:, 1] == 10).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6))
@example(211, 6)
def test_a_window_cuts_no_labelled_cell_it_can_hold(seed, margin):
    """Wherever in the region a cell lies, with its margin."""
    random.seed(seed)
    rng = np.random.default_rng(seed)
    low = rng.integers(0, [WIDTH - 30, HEIGHT - 30], 2)
    region = np.concatenate([low, low + rng.integers(20, 30, 2)])
    center = rng.uniform(region[:2], region[2:])
    half = rng.uniform(4, 12, 2)
    box = np.concatenate([center - half, center + half])
    box = box.clip(0, [WIDTH, HEIGHT] * 2)
    results = CachedRegionMosaic(
        (38, 36), grid=(1, 1), margin=margin, max_cached_images=1
    )(make_field([region.tolist()], [box.tolist()]))
    (shown,) = results['gt_bboxes'].tensor.numpy()
    np.testing.assert_allclose(
        shown[2:] - shown[:2], box[2:] - box[:2], atol=1e-3
    )
    # What is around it, as far as the field goes and the window has room.
    x, y = results['img'][0, 0, :2]
    room = [38, 36] - (np.ceil(box[2:]) - np.floor(box[:2]))
    margins = np.minimum(margin, room // 2)
    around = box + np.concatenate([-margins, margins])
    around = around.clip(0, [WIDTH, HEIGHT] * 2)
    assert (around[:2] >= [x, y]).all()
    assert (around[2:] <= [x + 38, y + 36]).all()


def test_edges_of_the_canvas_cut_cells_and_those_between_windows_do_not():
    random.seed(0)
    # Cells all over the region: an edge that goes through it meets one.
    boxes = [
        [x, y, x + 8.0, y + 8.0] for x in range(30, 60, 10) for y in (25, 35)
    ]
    field = make_field([[30, 25, 58, 45]], boxes)
    mosaic = CachedRegionMosaic(
        (80, 80), margin=0, min_visible=0.3, cut_at_edges=True
    )
    cut = set()
    for _ in range(40):
        results = mosaic(dict(field, gt_bboxes=field['gt_bboxes'].clone()))
        for x1, y1, x2, y2 in results['gt_bboxes'].tensor.tolist():
            whole = (x2 - x1 == 8, y2 - y1 == 8)
            touches = ({x1, x2} & {0, 80}, {y1, y2} & {0, 80})
            for axis in range(2):
                assert whole[axis] or touches[axis]
                if not whole[axis]:
                    cut.add((axis, *touches[axis]))
    assert cut == {(0, 0), (0, 80), (1, 0), (1, 80)}


def test_of_cells_that_do_not_fit_together_some_are_whole():
    field = make_field([[0, 0, 90, 70]], [[2, 20, 22, 40], [60, 20, 80, 40]])
    mosaic = CachedRegionMosaic((40, 40), grid=(1, 1), max_cached_images=1)
    seen = set()
    for _ in range(20):
        results = mosaic(field)
        sizes = results['gt_bboxes'].tensor.numpy()
        sizes = sizes[:, 2:] - sizes[:, :2]
        assert (sizes == 20).all(axis=1).any()
        seen.update(results['gt_bboxes_labels'].tolist())
    # Labels of two cells, each with its attributes.
    assert len(seen) == 2


def test_cells_that_are_hardly_seen_are_ignored():
    field = make_field([[0, 0, 40, 40]], [[30, 10, 90, 20]])
    results = CachedRegionMosaic((40, 40), grid=(1, 1), max_cached_images=1)(
        field
    )
    assert results['gt_bboxes'].tensor.tolist() == [[30, 10, 40, 20]]
    assert results['gt_ignore_flags'].tolist() == [True]


def test_whole_fields_and_fields_of_nothing():
    mosaic = CachedRegionMosaic((50, 40))
    assert mosaic(make_field([], [])) is None
    assert len(mosaic.cache) == 0
    results = mosaic(make_field(None, [[0, 0, WIDTH, HEIGHT]]))
    assert annotated_mask(results).all()


def test_small_fields_leave_padding():
    results = CachedRegionMosaic((300, 200), grid=(1, 1), pad_val=7)(
        make_field(None, [])
    )
    assert (results['img'][HEIGHT:] == 7).all()
    assert (results['img'][:, WIDTH:] == 7).all()


def test_cache_is_bounded_and_keeps_the_new():
    mosaic = TRANSFORMS.build(
        dict(
            type='mmleuk.CachedRegionMosaic',
            img_scale=(40, 40),
            max_cached_images=4,
        )
    )
    for number in range(1, 12):
        mosaic(make_field(None, [], number))
        assert mosaic.cache[-1]['img_id'] == number
    assert len(mosaic.cache) == 4
    with pytest.raises(ValueError, match='expected at least 4'):
        CachedRegionMosaic((40, 40), max_cached_images=3)
