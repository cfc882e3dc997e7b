# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from film_predictions import (
    apart,
    make_cell,
    make_film,
    make_header,
    make_image,
)

from mmleuk.reports import ReportSettings
from mmleuk.reports.patient_summary import PatientSummary


def count(images, header=None, **settings):
    summary = PatientSummary(
        header or make_header(), ReportSettings(**settings)
    )
    for key, image in enumerate(images):
        summary.add(key, image)
    return summary


def test_counts():
    summary = count(make_film(num_fields=3))
    assert (summary.num_cells, summary.num_unnamed, summary.num_named) == (
        14,
        1,
        13,
    )
    assert summary.blasts == ('myeloblast',)
    np.testing.assert_array_equal(
        summary.counts_by_field(),
        [[1, 3, 1, 1, 0], [0, 2, 1, 1, 0], [0, 2, 1, 1, 0]],
    )
    assert [field.num_blasts for field in summary.fields] == [3, 2, 2]
    assert summary.num_of('myeloblast') == 7
    assert summary.num_of('lymphoblast') == 0


def test_cells_are_numbered_through_the_patient():
    summary = PatientSummary(make_header(), ReportSettings())
    first, second = make_film(num_fields=2)
    assert [c.number for c in summary.add(0, first)] == list(range(6))
    again = summary.add(1, second)
    assert [c.number for c in again] == [6, 7, 8, 9]
    assert [c.place for c in again] == [1, 2, 3, 4]
    assert {c.field_index for c in again} == {1}


def test_profile_of_the_patient():
    profile = count(make_film(num_fields=3)).profile
    np.testing.assert_array_equal(profile.counts['cell_size'][1], [3, 4, 0])
    np.testing.assert_array_equal(profile.counts['cytoplasm'][1], [6, 1])


def test_surprising_values():
    cells = [make_cell(cytoplasm='abundant')] * 2
    cells.append(make_cell('monocyte', size='small'))
    rows = count([make_image(cells=apart(*cells))]).surprising_values()
    assert [(kind, item.value, n) for kind, item, n in rows] == [
        ('myeloblast', 'abundant', 2),
        ('monocyte', 'small', 1),
    ]


def test_the_table_prefers_blasts_then_doubt():
    cells = [make_cell('monocyte', 0.1 * n) for n in range(1, 6)]
    cells += [make_cell('myeloblast', 0.99)]
    summary = count([make_image(cells=apart(*cells))], max_cells=3)
    assert [found.number for found in summary.table] == [5, 0, 1]


def test_an_unreadable_image_is_no_field_without_cells():
    images = make_film(num_fields=2)
    images.append(make_image('x.png', error='is cut short'))
    summary = count(images)
    assert len(summary.fields) == 3
    assert len(summary.readable) == len(summary.counts_by_field()) == 2


def test_one_window_for_cells_of_one_scale():
    cells = [
        make_cell(box=(0, 5 * n, 10 * n, 5 * n + 5)) for n in range(1, 12)
    ]
    images = [
        make_image('a.png', cells),
        make_image('b.png', cells[:1], magnification='40x'),
    ]
    summary = count(images)
    assert summary.window(('100x', None)) == pytest.approx(1.25 * 100)
    assert summary.window(('40x', None)) == pytest.approx(1.25 * 10)


def test_a_detector_without_attributes():
    header = make_header(schema=None, type_profile=None)
    summary = count([make_image()], header)
    assert summary.profile is None


def test_a_cell_with_two_names_counts_once():
    twice = [make_cell('monocyte', 0.4), make_cell('myeloblast', 0.9)]
    summary = count([make_image(cells=twice)])
    assert (summary.num_cells, summary.num_rivals) == (1, 1)
    assert summary.num_of('myeloblast') == 1
    assert count([make_image(cells=twice)], same_cell_iou=1.1).num_cells == 2
