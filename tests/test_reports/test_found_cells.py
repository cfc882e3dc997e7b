# Copyright (c) mmleuk authors. All rights reserved.
import time

import pytest
from film_predictions import apart, make_cell, make_image

from mmleuk.reports.found_cells import merge_duplicate_boxes


def find(cells, iou=0.5):
    return merge_duplicate_boxes(make_image(cells=cells), 2, 10, iou)


def test_cells_are_numbered_and_keep_their_place():
    cells = apart(*[make_cell()] * 3)
    found = find(cells)
    assert [f.number for f in found] == [10, 11, 12]
    assert [f.place for f in found] == [1, 2, 3]
    assert [f.cell for f in found] == cells
    assert {f.field_index for f in found} == {2}
    assert find([]) == []


def test_the_surest_box_names_the_cell():
    near = make_cell('monocyte', 0.4, (41, 41, 71, 73))
    sure = make_cell('myeloblast', 0.9)
    other = make_cell('basophil', 0.3, (40, 40, 70, 71))
    far = make_cell('monocyte', 0.5, (100, 40, 130, 72))
    first, second = find([near, sure, other, far])
    assert first.cell == sure
    assert first.rivals == (near, other)
    assert (first.number, first.place) == (10, 2)
    assert second.cell == far
    assert (second.number, second.place, second.rivals) == (11, 4, ())


def test_confidence_decides_where_there_is_one():
    cells = [
        make_cell('monocyte', 0.3, score=0.9),
        make_cell('basophil', 0.5, score=0.8),
    ]
    (found,) = find(cells)
    assert found.cell.type == 'basophil'


@pytest.mark.parametrize(
    'boxes, num_cells',
    [
        # An IoU of 1/2, and one of 0.49.
        ([(0, 0, 30, 10), (10, 0, 40, 10)], 1),
        ([(0, 0, 30, 10), (10.4, 0, 40, 10)], 2),
        ([(0, 0, 9, 9)] * 3 + [(20, 0, 29, 9), (21, 0, 30, 9)], 2),
        # A chain: the ends do not lie on each other.
        ([(10, 0, 40, 10), (0, 0, 30, 10), (20, 0, 50, 10)], 1),
        ([(0, 0, 30, 10), (10, 0, 40, 10), (20, 0, 50, 10)], 2),
    ],
)
def test_what_counts_as_one_cell(boxes, num_cells):
    cells = [
        make_cell(confidence=0.9 - 0.1 * n, box=box)
        for n, box in enumerate(boxes)
    ]
    assert len(find(cells)) == num_cells
    assert len(find(cells, iou=1.1)) == len(boxes)


def test_a_whole_slide():
    cells = []
    for n in range(5000):
        x, y = 40.0 * (n % 70), 40.0 * (n // 70)
        box = (x, y, x + 30, y + 30)
        cells.append(make_cell(confidence=0.5, box=box))
    start = time.perf_counter()
    found = find([*cells, make_cell('monocyte')])
    assert len(found) == 5000
    assert found[-1].cell.type == 'monocyte'
    assert time.perf_counter() - start < 10
