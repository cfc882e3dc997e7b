# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.structures.record import CellRecord, FieldRecord, normalise_name


def test_names_are_compared_without_casing_and_spacing():
    assert normalise_name(' Atypical_ Lymphocyte') == 'atypical lymphocyte'
    assert normalise_name('non-blast') == 'non-blast'


@pytest.mark.parametrize(
    'bbox',
    [
        (5, 5, 5, 9),
        (6, 5, 5, 9),
        (-1, 0, 5, 5),
        (0, 0, 65, 5),
        (0, 0, 5, 49),
        (0, 0, float('nan'), 5),
        (0, 0, float('inf'), 5),
    ],
)
def test_field_refuses_boxes_that_are_not_in_the_image(bbox):
    cell = CellRecord(bbox, 'none', ())
    with pytest.raises(ValueError, match='a cell of a.png'):
        FieldRecord('a.png', 64, 48, cells=(cell,))
    with pytest.raises(ValueError, match='a region of a.png'):
        FieldRecord('a.png', 64, 48, annotated_regions=(bbox,))


def test_field_refuses_an_empty_image():
    with pytest.raises(ValueError, match='0 x 48'):
        FieldRecord('a.png', 0, 48)


@pytest.mark.parametrize('codes', [(-2,), (0.0,), (None,), (True,)])
def test_cell_refuses_codes_that_are_not_codes(codes):
    with pytest.raises(ValueError, match='attribute codes'):
        CellRecord((0, 0, 5, 5), 'none', codes)


def test_cell_refuses_an_empty_category():
    with pytest.raises(ValueError, match='category'):
        CellRecord((0, 0, 5, 5), '', (0,))


def test_error_names_file_record_problem_and_fix():
    error = AnnotationError('a.json', 'annotation 3', 'got x', 'Write y')
    assert str(error) == 'a.json, annotation 3: got x. Write y.'
    assert str(AnnotationError('a', '', 'b', 'C')) == 'a: b. C.'
