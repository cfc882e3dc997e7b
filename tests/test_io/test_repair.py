# Copyright (c) mmleuk authors. All rights reserved.
from contextlib import nullcontext

import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import (
    LOST_ANNOTATION,
    MALFORMED_BOX,
    NO_AREA,
    REPEATED_BOX,
)
from mmleuk.io.issue_log import IssueLog, limit_fault_rates
from mmleuk.io.repair import RawCell, parse_code, repair_field
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.record import CellRecord

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
CODES = (2, 1, 0, 1, 0, 1, 0)
NAN, INF = float('nan'), float('inf')


def raw(
    bbox=(10, 10, 30, 30), category='monocyte', codes=CODES, ignored=False
):
    return RawCell(tuple(map(float, bbox)), category, codes, ignored, 'row 1')


def repair(*cells, **kwargs):
    issues = IssueLog()
    field = repair_field(
        'a.png', (64, 48), cells, SCHEMA, 's', issues, **kwargs
    )
    return field, dict(issues.counts)


def test_a_faultless_field_is_untouched():
    field, counts = repair(raw(), raw((0, 0, 64, 48), 'none', (4,) * 7, True))
    assert field.cells == (
        CellRecord((10, 10, 30, 30), 'monocyte', CODES),
        CellRecord((0, 0, 64, 48), 'none', (-1,) * 7, True),
    )
    assert field.annotated_regions is None
    assert counts == {}


def test_codes_without_a_meaning_are_masked_one_by_one():
    field, counts = repair(raw(codes=(3, 2, 1, 4, None, -1, 7)))
    assert field.cells[0].attributes == (-1, -1, 1, -1, -1, -1, -1)
    # 4, None and -1 are said on purpose.
    assert counts == {'attribute codes outside the schema masked': 3}


def test_exact_duplicates_are_dropped():
    other = raw((10, 10, 30, 31))
    field, counts = repair(raw(), other, raw(), raw())
    assert [cell.bbox[3] for cell in field.cells] == [30, 31]
    assert field.cells[0] == CellRecord((10, 10, 30, 30), 'monocyte', CODES)
    assert counts == {'repeated boxes dropped': 2}


def test_attributes_on_which_duplicates_differ_are_masked():
    field, counts = repair(
        raw(codes=(2, 1, 0, 1, None, 1, 4)),
        raw(codes=(1, 1, 1, 1, 0, 4, 4)),
    )
    # What one states and the other leaves out is no conflict.
    assert field.cells[0].attributes == (-1, 1, -1, 1, 0, 1, -1)
    assert not field.cells[0].ignored
    assert counts == {
        'repeated boxes dropped': 1,
        'attributes on which repeated boxes differ masked': 2,
    }


@pytest.mark.parametrize(
    'other', [dict(category='monoblast'), dict(ignored=True)]
)
def test_a_cell_on_whose_class_duplicates_differ_is_ignored(other):
    field, counts = repair(raw(), raw(), raw(**other))
    assert len(field.cells) == 1
    assert field.cells[0].ignored
    assert counts['cells on whose class repeated boxes differ ignored'] == 1


def test_boxes_over_the_edge_are_clipped():
    field, counts = repair(raw((-5, 40, 10, 60)), raw((60, -1, 70, 9)))
    assert [cell.bbox for cell in field.cells] == [
        (0, 40, 10, 48),
        (60, 0, 64, 9),
    ]
    assert counts == {'boxes over the edge clipped': 2}


def test_rounding_at_the_edge_is_clipped_and_not_counted():
    field, counts = repair(raw((-0.0003, 0, 64.0003, 48)))
    assert field.cells[0].bbox == (0, 0, 64, 48)
    assert counts == {}


@pytest.mark.parametrize(
    'bbox',
    [
        (10, 10, 10, 20),
        (10, 10, 8, 20),
        (10, 10, 10.5, 20),
        (64, 10, 80, 20),
        (-20, -20, -1, -1),
        (63.5, 0, 90, 20),
    ],
)
def test_boxes_without_an_area_in_the_image_are_dropped(bbox):
    field, counts = repair(raw(bbox), raw())
    assert [cell.bbox for cell in field.cells] == [(10, 10, 30, 30)]
    assert counts == {'boxes without an area in the image dropped': 1}


@pytest.mark.parametrize('bbox', [(NAN, 0, 5, 5), (0, 0, INF, 5)])
def test_boxes_that_are_not_finite_are_dropped(bbox):
    field, counts = repair(raw(bbox), raw())
    assert len(field.cells) == 1
    assert counts == {'boxes that are not finite dropped': 1}


def test_regions_are_clipped_and_kept_once():
    regions = [(0, 0, 80, 20), (5, 5, 5, 9), (0, 0, 64, 20), (70, 0, 80, 9)]
    field, counts = repair(raw(), regions=regions)
    assert field.annotated_regions == ((0, 0, 64, 20),)
    assert counts == {
        'annotated regions without an area dropped': 2,
        'annotated regions over the edge clipped': 1,
        'repeated annotated regions dropped': 1,
    }


def test_no_region_is_not_the_whole_image():
    assert repair(regions=[])[0].annotated_regions == ()
    assert repair(regions=[(5, 5, 5, 9)])[0].annotated_regions == ()
    assert repair(regions=None)[0].annotated_regions is None


@pytest.mark.parametrize(
    'region', [(9, 0, 5, 5), (0, 9, 5, 5), (0, 0, NAN, 5)]
)
def test_a_region_that_is_no_rectangle_is_not_annotated(region):
    field, counts = repair(raw(), regions=[region])
    assert field.annotated_regions == ()
    assert len(field.cells) == 1
    assert counts == {'annotated regions that are no rectangle dropped': 1}
    field, _ = repair(raw(), regions=[region, (0, 0, 40, 40)])
    assert field.annotated_regions == ((0, 0, 40, 40),)


def test_overlapping_regions_stay_and_are_counted():
    regions = [(0, 0, 40, 40), (39, 0, 50, 40)]
    field, counts = repair(raw(), regions=regions)
    assert field.annotated_regions == tuple(regions)
    kind = 'annotated regions that overlap taken as their union'
    assert counts == {kind: 1}
    # Those that touch do not overlap.
    _, counts = repair(raw(), regions=[(0, 0, 40, 40), (40, 0, 50, 40)])
    assert counts == {}


def test_cells_outside_the_regions_are_counted():
    regions = [(0, 0, 25, 40)]
    cells = (raw(), raw((30, 5, 40, 20)), raw((50, 5, 60, 20), ignored=True))
    field, counts = repair(*cells, regions=regions)
    assert len(field.cells) == 3
    assert counts == {'cells outside their own region kept': 1}
    # The centre of the box as stated counts, not that of what is left of it.
    _, counts = repair(raw((54, 5, 74, 20)), regions=[(62, 0, 64, 40)])
    assert counts == {'boxes over the edge clipped': 1}


@pytest.mark.parametrize(
    'value, code', [(1, 1), (1.0, 1), ('1', 1), ('4.0', 4), (None, None)]
)
def test_codes_are_whole_numbers(value, code):
    assert parse_code(value) == code


@pytest.mark.parametrize('value', [0.5, 'open', '', True, [1], NAN, INF])
def test_other_codes_are_errors(value):
    with pytest.raises(ValueError, match='expected a whole number'):
        parse_code(value)


def test_log_counts_and_remembers_places():
    issues = IssueLog()
    assert issues.summary() == ''
    issues.add('things repaired', 'a')
    issues.add('things repaired', 'b', 2)
    issues.add(REPEATED_BOX, 'c\ud800')
    assert issues.counts == {'things repaired': 3, REPEATED_BOX.text: 1}
    assert issues.summary() == (
        '1 repeated boxes dropped (first: c\\ud800); '
        '3 things repaired (first: a)'
    )
    for i in range(9):
        issues.add('things repaired', str(i))
    assert issues.places['things repaired'] == ['a', 'b', '0', '1', '2']


def test_a_strict_log_raises_at_once():
    issues = IssueLog(strict=True)
    with pytest.raises(
        AnnotationError,
        match='train.json, annotation 3: .*"repeated boxes dropped".*Keep one',
    ) as error:
        issues.add(REPEATED_BOX, 'train.json, annotation 3')
    assert error.value.fault is REPEATED_BOX
    assert not issues.counts


def test_balance_of_what_was_seen():
    issues = IssueLog()
    issues.seen.update(annotations=7, images=2)
    issues.kept.update(annotations=4, images=2)
    issues.add(REPEATED_BOX, 'a', 2)
    issues.add(NO_AREA, 'a')
    assert issues.balance() == dict(annotations=(7, 4, 3), images=(2, 2, 0))


@pytest.mark.parametrize('good', [1, 2])
def test_a_source_is_refused_by_its_own_faults_alone(good):
    issues = IssueLog()
    # Another source, wholly good, and one with places to spare.
    issues.seen['annotations'] += 100
    for i in range(9):
        issues.add(MALFORMED_BOX, f'other {i}')
    error = pytest.raises(
        AnnotationError, match=r'mine: of 3 ann.*2 are faul.*first: mine\)'
    )
    with nullcontext() if good == 2 else error:
        with limit_fault_rates(issues, 'mine'):
            issues.seen['annotations'] += 2 + good
            issues.add(MALFORMED_BOX, 'mine, row 1')
            issues.add(LOST_ANNOTATION, 'mine, row 2')
            # Of boxes without an area there may be any number.
            issues.add(NO_AREA, 'mine, row 3', 50)
