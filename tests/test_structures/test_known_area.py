# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.structures import covered_fraction, in_unknown_area

SIZE = 12  # pixels of the small square image that the oracle paints


@st.composite
def rectangles(draw, max_size=4, min_size=0):
    """Rectangles with whole-numbered corners inside the small image."""
    corner = st.integers(0, SIZE)
    rows = draw(
        st.lists(
            st.tuples(corner, corner, corner, corner),
            min_size=min_size,
            max_size=max_size,
        )
    )
    return np.array(
        [(min(a, b), min(c, d), max(a, b), max(c, d)) for a, c, b, d in rows],
        dtype=np.float64,
    ).reshape(-1, 4)


def paint(boxes):
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    for x1, y1, x2, y2 in boxes.astype(int):
        mask[y1:y2, x1:x2] = True
    return mask


@settings(max_examples=150, deadline=None)
@given(boxes=rectangles(min_size=1), covering=rectangles())
def test_covered_fraction_counts_pixels_of_the_union(boxes, covering):
    mask = paint(covering)
    fractions = covered_fraction(boxes, covering)
    for box, fraction in zip(boxes, fractions):
        inside = paint(box[None])
        area = inside.sum()
        expected = (mask & inside).sum() / area if area else 0
        assert fraction == pytest.approx(expected)


@settings(max_examples=150, deadline=None)
@given(
    boxes=rectangles(min_size=1),
    ignored=rectangles(),
    regions=st.none() | rectangles(),
    iof_thr=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_unknown_is_the_union_of_all_that_is_not_known(
    boxes, ignored, regions, iof_thr
):
    unknown = paint(ignored)
    if regions is not None:
        unknown |= ~paint(regions)
    flags = in_unknown_area(boxes, ignored, regions, (SIZE, SIZE), iof_thr)
    for box, flag in zip(boxes, flags):
        inside = paint(box[None])
        assert flag == (
            inside.any()
            and (unknown & inside).sum() >= iof_thr * inside.sum() - 1e-9
        )


def test_straddling_two_unannotated_areas():
    # Two strips of 30 % each are left out of the annotation: no single one
    # covers half of the detection, both together do.
    regions = np.array([[3.0, 0.0, 7.0, 10.0]])
    detection = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert in_unknown_area(detection, [], regions, (10, 10)).all()
    assert not in_unknown_area(detection, [], regions, (10, 10), 0.61).any()


def test_what_hangs_over_the_edge_is_not_measured():
    # Inside the image the box is wholly annotated.
    detection = np.array([[-30.0, 0.0, 10.0, 10.0]])
    whole = np.array([[0.0, 0.0, 20.0, 20.0]])
    assert not in_unknown_area(detection, [], whole, (20, 20)).any()


def test_all_is_known_in_a_wholly_annotated_image():
    detection = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert not in_unknown_area(detection, [], None, (20, 20)).any()


def test_all_is_unknown_where_nothing_is_annotated():
    detections = np.array([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 6.0, 6.0]])
    assert in_unknown_area(detections, [], [], (20, 20)).all()
