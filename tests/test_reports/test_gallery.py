# Copyright (c) mmleuk authors. All rights reserved.
from film_predictions import make_cell

from mmleuk.reports.found_cells import FoundCell
from mmleuk.reports.gallery import Gallery
from mmleuk.reports.top_k import TopK


def found(number, confidence, **kwargs):
    return FoundCell(number, 0, 1, make_cell(confidence=confidence, **kwargs))


def fill(capacity, cells):
    gallery = Gallery(capacity)
    for cell in cells:
        gallery.add(cell)
    return gallery


def numbers(row):
    return [cell.number for cell in row.cells]


def test_best_few_keeps_the_best_and_the_first_of_equals():
    few = TopK(3)
    for rank, item in [(1, 'a'), (3, 'b'), (1, 'c'), (2, 'd'), (1, 'e')]:
        few.add((rank,), item)
    assert list(few) == ['b', 'd', 'a']
    assert list(few) == ['b', 'd', 'a']


def test_best_few_of_none():
    few = TopK(0)
    few.add((1,), 'a')
    assert list(few) == []


def test_few_cells_are_all_shown():
    gallery = fill(3, [found(0, 0.5), found(1, 0.9), found(2, 0.7)])
    (row,) = gallery.rows('myeloblast')
    assert (row.kind, numbers(row)) == ('all', [1, 2, 0])
    assert gallery.rows('monocyte') == []


def test_typical_and_doubtful_cells():
    cells = [found(n, 0.3 + n / 100) for n in range(20)]
    cells.append(found(20, 0.99, cytoplasm='abundant'))
    typical, doubtful = fill(4, cells).rows('myeloblast')
    assert (typical.kind, numbers(typical)) == ('typical', [19, 18, 17, 16])
    # The surprising one first, sure as it is; then the least certain.
    assert (doubtful.kind, numbers(doubtful)) == ('doubtful', [20, 0, 1, 2])


def test_surprises_fill_half_a_row_at_most():
    cells = [found(n, 0.9, cytoplasm='abundant') for n in range(9)]
    cells += [found(n, 0.5) for n in range(9, 20)]
    _, doubtful = fill(4, cells).rows('myeloblast')
    assert numbers(doubtful) == [0, 1, 9 + 4, 9 + 5]


def test_no_cell_is_in_both_rows():
    for count in range(4, 12):
        gallery = fill(3, [found(n, 0.5) for n in range(count)])
        shown = sum(map(numbers, gallery.rows('myeloblast')), [])
        assert len(shown) == len(set(shown)) == min(count, 6)


def test_surprises_without_a_typical_cell():
    cells = [found(n, 0.9, cytoplasm='abundant') for n in range(5)]
    (row,) = fill(3, cells).rows('myeloblast')
    assert row.kind == 'doubtful'
    assert len(row.cells) == 3


def test_an_empty_gallery():
    assert fill(0, [found(0, 0.5)]).rows('myeloblast') == []


def test_the_score_stands_in_for_a_confidence():
    cell = FoundCell(0, 0, 1, make_cell(confidence=None, score=0.4))
    assert cell.confidence == 0.4
