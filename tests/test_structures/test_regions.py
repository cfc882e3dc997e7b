# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.structures import check_regions, cover_rectangles, unannotated_area
from mmleuk.structures.regions import cut_area, join_areas, move_area

HEIGHT, WIDTH = 30, 40


@st.composite
def regions(draw):
    """Rectangles of whole pixels, which overlap and reach over the edge."""
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        x1, y1 = draw(st.integers(-5, WIDTH)), draw(st.integers(-5, HEIGHT))
        rows.append(
            [
                x1,
                y1,
                x1 + draw(st.integers(1, 30)),
                y1 + draw(st.integers(1, 30)),
            ]
        )
    return rows


def annotated_mask(rows):
    mask = np.zeros((HEIGHT, WIDTH), int)
    for x1, y1, x2, y2 in rows:
        mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
    return mask


def count_covers(rectangles):
    """How many rectangles hold each pixel. Their corners are whole pixels."""
    mask = np.zeros((HEIGHT, WIDTH), int)
    assert np.array_equal(rectangles, rectangles.round())
    for x1, y1, x2, y2 in rectangles.astype(int):
        assert 0 <= x1 < x2 <= WIDTH
        assert 0 <= y1 < y2 <= HEIGHT
        mask[y1:y2, x1:x2] += 1
    return mask


@settings(max_examples=200, deadline=None)
@given(regions())
def test_rectangles_are_the_complement(rows):
    area = unannotated_area(rows, (HEIGHT, WIDTH))
    rectangles = cover_rectangles(area)
    assert rectangles.dtype == np.float32
    assert np.array_equal(count_covers(rectangles), 1 - annotated_mask(rows))


def test_whole_and_nothing():
    assert unannotated_area(None, (HEIGHT, WIDTH)) is None
    assert unannotated_area([[0, 0, WIDTH, HEIGHT]], (HEIGHT, WIDTH)) is None
    assert cover_rectangles(None).shape == (0, 4)
    nothing = cover_rectangles(unannotated_area([], (HEIGHT, WIDTH)))
    assert nothing.tolist() == [[0, 0, WIDTH, HEIGHT]]


def test_one_region_leaves_four_rectangles():
    area = unannotated_area([[10.5, 5, 20, 25]], (HEIGHT, WIDTH))
    assert cover_rectangles(area).tolist() == [
        [0, 0, 40, 5],
        [0, 5, 10.5, 25],
        [20, 5, 40, 25],
        [0, 25, 40, 30],
    ]


@settings(max_examples=100, deadline=None)
@given(
    regions(),
    st.none() | regions(),
    st.floats(-180, 180),
    st.floats(-0.3, 0.3),
    st.sampled_from([1.0, 4.0, 8.0]),
)
def test_slanting_area_is_covered_from_outside(
    rows, neighbour, angle, shear, step
):
    angle = np.radians(angle)
    matrix = np.eye(3)
    matrix[:2, :2] = [
        [np.cos(angle), -np.sin(angle) + shear],
        [np.sin(angle), np.cos(angle)],
    ]
    area = move_area(unannotated_area(rows, (HEIGHT, WIDTH)), matrix)
    matrix[0, 2] = WIDTH
    other = move_area(unannotated_area(neighbour, (HEIGHT, WIDTH)), matrix)
    area = join_areas([area, other])
    rectangles = cover_rectangles(area, step)
    if area is None:
        assert len(rectangles) == 0
        return
    boxes = shapely.box(*rectangles.astype(float).T)
    cover = shapely.union_all(boxes)
    # What rounding to a thousandth of a pixel may take away.
    assert area.difference(cover).area < 1e-3 * area.length
    assert shapely.area(boxes).sum() == pytest.approx(cover.area)
    # No annotated pixel farther than a slab from the area is lost. (The area
    # may slant by up to 90 degrees: a slab then reaches along its edge.)
    x1, y1, x2, y2 = area.bounds
    margin = 0.01
    assert shapely.box(
        x1 - margin, y1 - margin, x2 + margin, y2 + margin
    ).contains(cover)
    finer = shapely.union_all(
        shapely.box(*cover_rectangles(area, step / 4).astype(float).T)
    )
    assert finer.area <= cover.area + 0.1


def test_cover_after_slight_rotation_loses_little():
    matrix = np.eye(3)
    matrix[:2, :2] = [[0.9848, -0.1736], [0.1736, 0.9848]]  # 10 degrees
    area = move_area(
        unannotated_area([[50, 50, 350, 250]], (300, 400)), matrix
    )
    rectangles = cover_rectangles(area, step=8)
    lost = (
        shapely.area(shapely.box(*rectangles.astype(float).T)).sum()
        - area.area
    )
    # A band of at most one slab along the four edges of the region.
    assert 0 <= lost < 8 * 2 * (300 + 200)
    assert len(rectangles) < 200


def test_few_rectangles_along_edges_that_slant_hardly():
    """By a hundredth of a pixel: not a rectangle for each step."""
    matrix = np.eye(3)
    matrix[0, 1] = 1e-5
    area = move_area(
        unannotated_area([[300, 300, 900, 900]], (1200, 1600)), matrix
    )
    assert len(cover_rectangles(area)) < 50


def test_cuts_at_all_corners_of_several_parts():
    """Parts above and beside each other, one that tapers, and a hole."""
    area = shapely.union_all(
        [
            shapely.box(0, 0, 4, 4).difference(shapely.box(1, 1, 2, 2)),
            shapely.Polygon([(6, 0), (8, 4), (6, 4)]),
            shapely.box(0, 6, 2, 8),
        ]
    )
    assert cover_rectangles(area, step=2).tolist() == [
        [0, 0, 4, 1],
        [6, 0, 6.5, 1],
        [0, 1, 1, 2],
        [2, 1, 4, 2],
        [6, 1, 7, 2],
        [0, 2, 4, 4],
        [6, 2, 8, 4],
        [0, 6, 2, 8],
    ]


def test_move_cut_and_join():
    area = unannotated_area([], (10, 20))
    doubled = move_area(area, np.diag([2.0, 3.0, 1.0]))
    assert doubled.bounds == (0, 0, 40, 30)
    assert cut_area(doubled, (25, 15)).bounds == (0, 0, 15, 25)
    shift = np.array([[1, 0, -20.0], [0, 1, 0], [0, 0, 1]])
    # Only an edge is left of it: no area.
    assert cut_area(move_area(area, shift), (10, 20)) is None
    assert join_areas([None, None]) is None
    assert join_areas([None, area]) is area
    assert join_areas([area, doubled]).equals(doubled)
    assert move_area(None, shift) is None
    assert cut_area(None, (1, 1)) is None


def test_homography_to_infinity():
    matrix = np.array([[1, 0, 0], [0, 1, 0], [-0.1, 0, 1.0]])
    with pytest.raises(ValueError, match='infinity'):
        move_area(unannotated_area([], (10, 20)), matrix)


@pytest.mark.parametrize(
    'region',
    [
        [0, 0, 5],
        [5, 0, 5, 9],
        [0, 9, 5, 3],
        [0, 0, float('nan'), 3],
        [0, 0, float('inf'), 3],
        ['a', 0, 3, 3],
        7,
    ],
)
def test_region_that_is_no_rectangle(region):
    with pytest.raises(ValueError, match='annotated region 1 is'):
        check_regions([[0, 0, 1, 1], region])
