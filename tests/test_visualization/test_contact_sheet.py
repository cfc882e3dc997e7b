# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest

from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema
from mmleuk.visualization.contact_sheet import ContactSheet, Example, cut_out

CLASSES = ('neutrophil', 'lymphocyte', 'monocyte')
PALETTE = [(255, 187, 0), (120, 200, 80), (23, 190, 207)]
RED, BLUE = (200, 0, 0), (0, 0, 200)


def make_sheet(**options):
    """Three neutrophils, two of them large, and a small lymphocyte."""
    sheet = ContactSheet(
        CLASSES, PALETTE, AttributeSchema(LLD_ATTRIBUTES[:2]), **options
    )
    for index, codes in enumerate([(2, 0), (2, MISSING), (0, 0)]):
        sheet.add(0, codes, Example('a.png', (index, 0, index + 9, 9)))
    sheet.add(1, (0, 1), Example('b.png', (0, 0, 9, 9)))
    return sheet


def paint(sheet, size=56):
    """A red picture for neutrophils, a blue one for the lymphocyte."""
    colours = {'a.png': RED, 'b.png': BLUE}
    return {
        example: np.full((size, size, 3), colours[path], np.uint8)
        for path, some in sheet.examples().items()
        for example in some
    }


def count_pixels(image, colour):
    return int((image == colour).all(axis=-1).sum())


def test_blocks_hold_cells_of_their_class_and_value():
    sheet = make_sheet()
    drawn = sheet.draw(paint(sheet))
    # Neutrophils: 3 in all, 2 large, 1 small, 2 with open chromatin, none
    # coarse. The lymphocyte: in all, small, coarse.
    assert count_pixels(drawn, RED) == 8 * 56**2
    assert count_pixels(drawn, BLUE) == 3 * 56**2
    # Rows are in the order of the classes.
    red, blue = (
        np.flatnonzero((drawn == colour).all(axis=-1).any(axis=1))
        for colour in (RED, BLUE)
    )
    assert red.max() < blue.min()


def test_counts_and_what_is_missing_are_written(monkeypatch):
    written = []
    monkeypatch.setattr(
        'mmleuk.visualization.pen.Pen.write',
        lambda self, x, top, text, *args: written.append(text),
    )
    sheet = make_sheet()
    sheet.draw(paint(sheet))
    assert {'2 (67 %)', '1 (33 %)', '1 (100 %)', '3', '0'} <= set(written)
    assert {'Cell Size', 'Nuclear Chromatin', 'medium'} <= set(written)
    assert 'No cells: monocyte.' in written
    assert 'Nuclear Chromatin: not stated for 1 of 4 cells.' in written


def test_an_attribute_that_nobody_stated_has_no_column(monkeypatch):
    written = []
    monkeypatch.setattr(
        'mmleuk.visualization.pen.Pen.write',
        lambda self, x, top, text, *args: written.append(text),
    )
    sheet = ContactSheet(CLASSES, PALETTE, AttributeSchema(LLD_ATTRIBUTES))
    sheet.add(0, None, Example('a.png', (0, 0, 9, 9)))
    sheet.draw(paint(sheet))
    assert 'all cells' in written
    assert 'Cell Size' not in written
    assert any(
        text.startswith('Not stated for any cell: Cell Size, ')
        for text in written
    )


def test_examples_follow_the_seed():
    def choose(seed):
        sheet = ContactSheet(CLASSES, PALETTE, num_examples=3, seed=seed)
        for index in range(50):
            sheet.add(0, None, Example('a.png', (index, 0, index + 9, 9)))
        return sheet.examples()

    assert choose(0) == choose(0)
    assert choose(0) != choose(1)
    assert len(choose(0)['a.png']) == 3


def test_a_cell_is_cut_out_as_a_square():
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 30:70] = RED
    crop = cut_out(image, (30, 40, 70, 60), 80, margin=0)
    assert crop.shape == (80, 80, 3)
    # Twice as large, as wide as the cell, centred.
    assert count_pixels(crop[24:56], RED) == 32 * 80
    assert count_pixels(crop[:16], RED) == 0
    # What lies outside of the image is white.
    edge = cut_out(image, (-10, -10, 10, 10), 40, margin=0)
    assert count_pixels(edge[:16], (255, 255, 255)) == 16 * 40
    away = cut_out(image, (900, 900, 950, 950), 40)
    assert (away == 255).all()


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match='got no cell'):
        ContactSheet(CLASSES, PALETTE).draw({})
    with pytest.raises(ValueError, match=r'a\.png has the attributes \(0,\)'):
        make_sheet().add(0, (0,), Example('a.png', (0, 0, 9, 9)))
    with pytest.raises(ValueError, match='0 examples of 56 pixels'):
        make_sheet(num_examples=0)
