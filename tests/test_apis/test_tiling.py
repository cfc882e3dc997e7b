# Copyright (c) mmleuk authors. All rights reserved.
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.apis.detections import Detections
from mmleuk.apis.tiling import Tile, Tiling, merge_tiles


def detect(boxes, scores=None, labels=None):
    count = len(boxes)
    return Detections(
        np.array(boxes, dtype=float).reshape(-1, 4),
        np.array(scores or [0.9] * count, dtype=np.float32),
        np.array(labels or [0] * count),
        np.arange(count, dtype=np.float32)[:, None],
    )


# Two tiles of 100 px beside each other, from 0 and from 60.
LEFT, RIGHT = Tiling(100, 40).tiles(160, 100)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(1, 120),
    st.integers(10, 80),
    st.floats(0, 0.8),
)
def test_tiles_cover_the_image(width, height, size, overlap):
    tiling = Tiling(size, int(overlap * size))
    tiles = list(tiling.tiles(width, height))
    assert len(tiles) == tiling.count(width, height)
    covered = np.zeros((height, width), int)
    owned = np.zeros((height, width), int)
    y, x = np.mgrid[:height, :width] + 0.5
    for (x1, y1, x2, y2), core in tiles:
        assert (x2 - x1, y2 - y1) == (min(size, width), min(size, height))
        covered[y1:y2, x1:x2] += 1
        owned += (
            (core[0] <= x) & (x < core[2]) & (core[1] <= y) & (y < core[3])
        )
    assert covered.min() >= 1
    assert (owned == 1).all()
    # In every row of tiles, each overlaps the next by what is asked for.
    columns = sorted({tile.window[0] for tile in tiles})
    assert all(
        b - a <= size - tiling.overlap for a, b in zip(columns, columns[1:])
    )


def test_a_region_is_cut_alone():
    tiling = Tiling(100, 20, region=(50, 60, 1000, 150))
    windows = [tile.window for tile in tiling.tiles(200, 300)]
    assert windows == [(50, 60, 150, 150), (100, 60, 200, 150)]
    assert tiling.needs_tiles(10, 10)
    with pytest.raises(ValueError, match='no pixel in an image of 40 x 40'):
        list(tiling.tiles(40, 40))


def test_only_larger_images_are_cut():
    assert not Tiling(100).needs_tiles(100, 100)
    assert Tiling(100).needs_tiles(90, 101)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(size=0), 'tile size is 0'),
        (dict(size=10, overlap=10), 'overlap of tiles is 10 px'),
        (dict(size=10, overlap=-1), 'overlap of tiles is -1 px'),
        (dict(size=10, iou_thr=0), 'iou_thr is 0'),
        (dict(size=10, ios_thr=1.1), 'ios_thr is 1.1'),
    ],
)
def test_wrong_numbers_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Tiling(**kwargs)


def merge(left, right):
    tiling = Tiling(100, 40)
    return merge_tiles([(LEFT, left), (RIGHT, right)], tiling)


def test_a_cell_in_the_overlap_is_one():
    # The left tile scores less, but the cell is on its side of the middle.
    cells, num_cut = merge(
        detect([[62, 10, 80, 30]], [0.6]),
        detect([[3, 10, 21, 30]], [0.9], [1]),
    )
    assert num_cut == 0
    np.testing.assert_array_equal(cells.boxes, [[62, 10, 80, 30]])
    assert cells.labels.tolist() == [0]


def test_a_cut_cell_loses_to_the_whole_one():
    # The left tile sees a sliver of a cell, and is sure of it.
    cells, num_cut = merge(
        detect([[92, 10, 100, 30]], [0.99]),
        detect([[30, 8, 50, 32]], [0.4], [1]),
    )
    assert num_cut == 0
    np.testing.assert_array_equal(cells.boxes, [[90, 8, 110, 32]])
    assert cells.labels.tolist() == [1]
    assert cells.probs.tolist() == [[0]]


def test_a_sliver_drawn_short_of_the_border_loses_too():
    cells, _ = merge(detect([[88, 10, 95, 30]]), detect([[30, 8, 50, 32]]))
    np.testing.assert_array_equal(cells.boxes, [[90, 8, 110, 32]])


def test_neighbours_that_touch_stay_two():
    # Both are whole in both tiles, and their boxes overlap.
    left = [[62, 10, 82, 30], [74, 22, 94, 42]]
    cells, _ = merge(detect(left), detect(np.subtract(left, [60, 0, 60, 0])))
    np.testing.assert_array_equal(np.sort(cells.boxes, axis=0), left)


def test_boxes_of_one_tile_are_left_alone():
    # One cell, seen as two types: as in an image that is not tiled.
    box = [62, 10, 80, 30]
    left = detect([box, box], [0.8, 0.3], [0, 1])
    cells, _ = merge(left, detect([np.subtract(box, [60, 0, 60, 0])]))
    assert cells.scores.tolist() == pytest.approx([0.8, 0.3])


def test_a_cell_that_its_own_tile_misses_is_kept():
    cells, num_cut = merge(detect([]), detect([[3, 10, 18, 30]]))
    np.testing.assert_array_equal(cells.boxes, [[63, 10, 78, 30]])
    assert num_cut == 0


def test_a_cell_larger_than_the_overlap_is_told_of():
    cells, num_cut = merge(
        detect([[10, 10, 100, 80]]), detect([[0, 10, 95, 80]])
    )
    assert (len(cells), num_cut) == (2, 2)


def test_borders_of_the_image_cut_nothing():
    cells, num_cut = merge(
        detect([[0, 0, 20, 20], [10, 85, 30, 100]]), detect([])
    )
    assert (len(cells), num_cut) == (2, 0)


def test_nothing_found_is_nothing():
    cells, num_cut = merge(detect([]), detect([]))
    assert (len(cells), num_cut) == (0, 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_cells_seen_through_tiles_are_all_there_once(seed):
    """Cells on a jittered grid, cut by tiles and drawn a little wrong."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(10) * 50 + 25] * 2), -1)
    middles = grid.reshape(-1, 2) + rng.uniform(-5, 5, (100, 2))
    half = rng.uniform(8, 19, (100, 2))
    truth = np.concatenate([middles - half, middles + half], axis=1)
    tiling = Tiling(int(rng.integers(90, 200)), 45)
    parts = []
    for tile in tiling.tiles(500, 500):
        low, high = np.array(tile.window[:2]), np.array(tile.window[2:])
        seen = np.concatenate(
            [truth[:, :2].clip(low, high), truth[:, 2:].clip(low, high)],
            axis=1,
        )
        # Of less than a fifth no detector makes a cell.
        sides = (seen[:, 2:] - seen[:, :2]) / (2 * half)
        seen = seen[sides.min(axis=1) > 0.2]
        seen += rng.uniform(-1, 1, seen.shape)
        scores = rng.uniform(0.3, 1, len(seen)).tolist()
        parts.append((tile, detect(seen - [*low, *low], scores)))
    cells, num_cut = merge_tiles(parts, tiling)
    assert num_cut == 0
    assert len(cells) == 100
    order = [np.abs(cells.boxes - box).max(axis=1).argmin() for box in truth]
    assert np.abs(cells.boxes[order] - truth).max() <= 1


def test_the_core_of_a_single_tile_is_everything():
    (tile,) = Tiling(100).tiles(80, 60)
    assert tile == Tile((0, 0, 80, 60), (-math.inf,) * 2 + (math.inf,) * 2)
