# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest

from mmleuk.visualization.label_layout import place_labels


def overlap(first, second):
    """Area that two boxes share."""
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[2:], second[2:])
    return np.prod(np.maximum(0, high - low))


def rectangles(layout, sizes):
    return np.concatenate([layout.corners, layout.corners + sizes], axis=1)


def scatter_cells(count, side, frame, seed=0):
    """Boxes that do not overlap each other."""
    rng = np.random.default_rng(seed)
    boxes = []
    while len(boxes) < count:
        x, y = rng.uniform(0, frame - side, 2)
        box = np.array([x, y, x + side, y + side])
        if not any(overlap(box, other) for other in boxes):
            boxes.append(box)
    return np.array(boxes)


def test_a_label_lies_above_its_box():
    sizes = np.array([[60, 20]])
    layout = place_labels([[100, 100, 180, 180]], sizes, (400, 400))
    np.testing.assert_array_equal(layout.corners, [[100, 80]])
    np.testing.assert_array_equal(layout.hidden, [0])


def test_forty_cells_hide_nothing():
    boxes = scatter_cells(40, 70, 900)
    sizes = np.tile([[100, 30]], (40, 1))
    layout = place_labels(boxes, sizes, (900, 900))
    labels = rectangles(layout, sizes)
    assert (labels >= 0).all()
    assert (labels <= 900).all()
    for index, label in enumerate(labels):
        for other in labels[index + 1 :]:
            # The grid of 4 px rounds sizes up, so there is none at all.
            assert overlap(label, other) == 0
        # Corners of boxes are free: a cell is the ellipse in its box.
        for box in boxes:
            assert overlap(label, box) < 0.1 * 100 * 30
    assert layout.hidden.max() < 0.1


def test_a_label_stays_near_its_box():
    boxes = scatter_cells(40, 70, 900, seed=1)
    sizes = np.tile([[100, 30]], (40, 1))
    layout = place_labels(boxes, sizes, (900, 900))
    labels = rectangles(layout, sizes)
    low = np.maximum(labels[:, :2], boxes[:, :2])
    high = np.minimum(labels[:, 2:], boxes[:, 2:])
    away = np.hypot(*np.maximum(0, low - high).T)
    assert np.median(away) <= 4
    assert away.max() <= 5 * 30 + 100


def test_a_full_field_says_what_is_hidden():
    """Cells side by side without any room."""
    ticks = np.arange(0, 400, 50)
    boxes = [[x, y, x + 50, y + 50] for x in ticks for y in ticks]
    layout = place_labels(boxes, np.tile([[60, 30]], (64, 1)), (400, 400))
    assert layout.cells_covered.mean() > 0.3
    assert layout.labels_covered.mean() < layout.cells_covered.mean()


def test_a_label_leaves_the_box_of_a_neighbour():
    """A small cell right below a large one."""
    boxes = [[100, 100, 300, 300], [180, 304, 220, 344]]
    sizes = np.array([[60, 20], [60, 20]])
    layout = place_labels(boxes, sizes, (500, 500))
    second = rectangles(layout, sizes)[1]
    assert overlap(second, np.array(boxes[0])) == 0
    assert layout.in_other_boxes[1] == 0


@pytest.mark.parametrize(
    'box, size, frame',
    [
        ([0, 0, 10, 10], [400, 20], (100, 100)),
        ([0, 0, 2, 2], [5, 5], (3, 3)),
        ([-80, -90, -20, -30], [30, 10], (100, 100)),
        ([500, 500, 600, 600], [30, 10], (100, 100)),
        ([50, 50, 50, 50], [30, 10], (100, 100)),
    ],
)
def test_odd_boxes_get_a_place_in_the_frame(box, size, frame):
    layout = place_labels([box], [size], frame)
    (x, y), (height, width) = layout.corners[0], frame
    assert 0 <= x <= max(0, width - size[0])
    assert 0 <= y <= max(0, height - size[1])


def test_no_cells_need_no_labels():
    layout = place_labels(np.zeros((0, 4)), np.zeros((0, 2)), (100, 100))
    assert layout.corners.shape == (0, 2)
    assert layout.hidden.shape == (0,)


def test_sizes_must_fit_boxes():
    with pytest.raises(ValueError, match='got 1 boxes and 2 sizes'):
        place_labels([[0, 0, 9, 9]], [[5, 5], [5, 5]], (100, 100))
