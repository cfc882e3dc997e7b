# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from film_predictions import (
    TYPES,
    apart,
    make_cell,
    make_film,
    make_header,
    make_image,
)

from mmleuk.reports import ReportSettings, share_by_cells
from mmleuk.reports.differential import count_types
from mmleuk.reports.patient_summary import PatientSummary


def count(images, header=None, **settings):
    summary = PatientSummary(
        header or make_header(), ReportSettings(**settings)
    )
    for key, image in enumerate(images):
        summary.add(key, image)
    return count_types(summary)


def test_shares_are_of_the_cells_that_could_be_named():
    rows, blasts = count(make_film(num_fields=6))
    assert [(row.name, row.share.count) for row in rows] == [
        ('myeloblast', 13),
        ('promonocyte', 6),
        ('monocyte', 6),
        ('basophil', 0),
    ]
    assert {row.share.total for row in rows} == {25}
    assert sum(row.share.value for row in rows) == pytest.approx(1)
    assert rows[0].is_blast
    assert rows[0].num_fields == 6
    assert rows[1].confidence == pytest.approx(0.6)
    assert rows[3].confidence is None
    assert blasts.share == rows[0].share
    assert blasts.share.method == 'bootstrap'
    assert blasts.relation == 'above'


def test_blasts_come_first_and_add_up():
    rows, blasts = count(
        make_film(), blast_types=('monocyte', 'promonocyte'), blast_mark=0.5
    )
    assert [row.is_blast for row in rows] == [True, True, False, False]
    assert blasts.share.count == 12
    assert blasts.relation == 'across'
    assert blasts.equivalents == ()


def test_few_fields_give_wilsons_interval():
    rows, blasts = count(make_film(num_fields=4))
    assert blasts.share == share_by_cells(9, 17)
    assert rows[1].share == share_by_cells(4, 17)


def test_equivalents_are_stated_beside():
    _, blasts = count(make_film())
    ((name, wider),) = blasts.equivalents
    assert name == 'promonocyte'
    assert (wider.count, wider.total) == (19, 25)
    only = [make_image(cells=[make_cell()])]
    assert count(only)[1].equivalents == ()


def test_expected_errors_and_unnamed_cells():
    cells = [make_cell(confidence=0.75)] * 4 + [make_cell('none')] * 2
    cells += [make_cell('monocyte', 0.5)] * 4
    _, blasts = count([make_image(cells=apart(*cells))])
    assert blasts.expected_errors == pytest.approx(1)
    assert blasts.with_unnamed == pytest.approx(0.6)
    cells = [make_cell(confidence=None, score=0.75)]
    _, blasts = count([make_image(cells=cells)], make_header(calibration=None))
    assert blasts.expected_errors is None
    assert blasts.with_unnamed is None


def test_no_share_without_a_type_of_blast():
    header = make_header(types=('none', *TYPES[2:]), type_profile=None)
    images = [make_image(cells=[make_cell('monocyte')])]
    rows, blasts = count(images, header)
    assert blasts.share is None
    assert 'knows no type of blast' in blasts.problem
    assert rows[0].share.count == 1


def test_no_share_without_training_cells():
    images = [make_image(cells=[make_cell('monocyte')])]
    _, blasts = count(images, blast_types=('basophil',))
    assert blasts.share is None
    assert 'lists basophil, but its training data' in blasts.problem
    assert blasts.unknown == ('basophil',)


def test_none_found_is_no_zero_if_it_is_unknown_what_was_trained():
    images = [make_image(cells=[make_cell('monocyte')])]
    header = make_header(type_profile=None)
    _, blasts = count(images, header)
    assert blasts.share is None
    assert 'whether the model was trained on blasts' in blasts.problem
    # Unless the user says so, or one was found.
    _, blasts = count(images, header, blast_types=('myeloblast',))
    assert blasts.share.value == 0
    images = [make_image(cells=apart(make_cell('monocyte'), make_cell()))]
    assert count(images, header)[1].share.value == 0.5
    # With a profile it is known that it was.
    images = [make_image(cells=[make_cell('monocyte')])]
    assert count(images)[1].share.value == 0


@pytest.mark.parametrize('cells', [(), (make_cell('none'),)])
def test_no_share_of_no_cells(cells):
    rows, blasts = count([make_image(cells=cells)])
    assert blasts.share is None
    assert 'No cell was found' in blasts.problem
    assert all(row.share.total == 0 for row in rows)


def test_no_images_that_could_be_read():
    _, blasts = count([make_image(error='is cut short')])
    assert blasts.share is None
