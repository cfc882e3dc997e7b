# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from film_predictions import (
    PROFILE,
    SCHEMA,
    TYPES,
    apart,
    make_cell,
    make_film,
    make_header,
    make_image,
)

from mmleuk.datasets import LLD_CLASSES
from mmleuk.reports import ReportSettings
from mmleuk.reports.notes import find_blurred, find_notes
from mmleuk.reports.patient_summary import PatientSummary
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema, TypeProfile


def notes_on(images, header=None, **settings):
    summary = PatientSummary(
        header or make_header(), ReportSettings(**settings)
    )
    for key, image in enumerate(images):
        summary.add(key, image)
    labels = [field.name for field in summary.fields]
    return {note.code: note for note in find_notes(summary, labels)}, summary


def cells_in_fields(num_cells, num_fields=10, **kwargs):
    cells = [make_cell('monocyte', **kwargs)] * (num_cells // num_fields)
    cells = apart(*cells)
    return [make_image(f'{n}.png', cells) for n in range(num_fields)]


@pytest.mark.parametrize(
    'num_cells, title', [(90, 'Few cells'), (190, 'Fewer than 200 cells')]
)
def test_few_cells(num_cells, title):
    notes, _ = notes_on(cells_in_fields(num_cells))
    assert notes['few-cells'].title == title
    assert notes['few-cells'].text.startswith(f'{num_cells}\u00a0cells count')
    assert notes['few-cells'].caution == (num_cells < 100)


def test_enough_cells():
    notes, _ = notes_on(cells_in_fields(200))
    assert 'few-cells' not in notes
    assert 'few-fields' not in notes


def test_few_fields():
    notes, _ = notes_on(cells_in_fields(200, 4))
    assert 'in 4\u00a0fields' in notes['few-fields'].text


def test_a_model_that_was_not_calibrated():
    images = cells_in_fields(200, confidence=None, score=0.9)
    notes, _ = notes_on(images, make_header(calibration=None))
    assert notes['uncalibrated'].caution
    notes, _ = notes_on(cells_in_fields(200))
    assert 'uncalibrated' not in notes
    notes, _ = notes_on(
        cells_in_fields(200), make_header(calibration=dict(num_cells=50))
    )
    assert '50\u00a0labelled cells' in notes['thin-calibration'].text


def test_types_that_cannot_be_found():
    notes, _ = notes_on(cells_in_fields(200))
    lacking = notes['unknown-types'].text.split(':')[0].split(', ')
    assert set(lacking) == set(LLD_CLASSES) - set(TYPES)
    assert notes['untrained-types'].text.startswith('basophil: ')


def test_attributes_that_were_never_labelled():
    counts = {name: table.copy() for name, table in PROFILE.counts.items()}
    counts['cytoplasm'][:] = 0
    profile = TypeProfile(TYPES, SCHEMA, counts)
    notes, _ = notes_on(
        cells_in_fields(200), make_header(type_profile=profile)
    )
    assert notes['untrained-attributes'].text.startswith('Cytoplasm: ')


def test_a_model_of_all_types_and_a_known_past():
    schema = AttributeSchema(LLD_ATTRIBUTES)
    profile = TypeProfile.count(
        LLD_CLASSES, schema, [(i, (0,) * 7) for i in range(14)]
    )
    header = make_header(
        types=LLD_CLASSES, schema=schema, type_profile=profile
    )
    images = [
        make_image(f'{n}.png', apart(*[make_cell('monocyte')] * 40))
        for n in range(5)
    ]
    notes, _ = notes_on(images, header)
    assert notes == {}
    notes, _ = notes_on(images, make_header(type_profile=None))
    assert 'no-profile' in notes


def test_doubtful_and_unnamed_cells():
    cells = [make_cell('monocyte', 0.4)] * 2 + [make_cell('monocyte')] * 6
    cells += [make_cell('none')] * 2
    notes, _ = notes_on([make_image(cells=apart(*cells))])
    assert notes['doubtful-cells'].text.startswith(
        'A confidence below 0.5: 2\u00a0cells of 10 (20.0\u00a0%)'
    )
    assert '2\u00a0cells of 10' in notes['unnamed-cells'].text
    assert notes['unnamed-cells'].caution


def test_cells_with_two_names():
    twice = [make_cell(), make_cell('monocyte', 0.4)]
    notes, _ = notes_on([make_image(cells=twice)])
    assert notes['rivals'].text.startswith('1\u00a0box on the cell of')
    notes, _ = notes_on([make_image(cells=apart(*twice))])
    assert 'rivals' not in notes


def test_fields_that_are_missing_or_empty():
    images = make_film(num_fields=3)
    images += [
        make_image('empty.png'),
        make_image('broken.png', error='is cut short'),
    ]
    notes, _ = notes_on(images)
    assert notes['unreadable'].items == ('broken: is cut short',)
    assert notes['empty-fields'].items == ('empty',)
    assert 'in 1\u00a0field of 4' in notes['empty-fields'].text
    assert not notes['empty-fields'].caution


def focused(*values, magnification='100x'):
    return [
        make_image(
            f'{magnification}{n}.png',
            focus=value,
            field=str(n),
            magnification=magnification,
        )
        for n, value in enumerate(values)
    ]


def test_focus_against_the_other_fields():
    notes, summary = notes_on(focused(100, 110, 90, 105, 49, None))
    assert find_blurred(summary) == [False] * 4 + [True, False]
    assert notes['low-focus'].items == ('4',)
    # Four fields have no median to go by.
    assert 'low-focus' not in notes_on(focused(100, 110, 90, 9))[0]


def test_focus_of_another_magnification_is_no_measure():
    images = focused(*[100] * 5) + focused(*[10] * 5, magnification='40x')
    _, summary = notes_on(images)
    assert not any(find_blurred(summary))


def test_focus_against_a_limit():
    notes, summary = notes_on(focused(100, 20), min_focus=30.0)
    assert find_blurred(summary) == [False, True]
    assert 'below 30 or below' in notes['low-focus'].text


def test_mixtures():
    images = [
        make_image('a.png', subset='H_100X_C1'),
        make_image('b.png', subset='H_40X_C1', magnification='40x'),
        make_image('c.png', subset='H_40X_C1', magnification='40x'),
    ]
    notes, _ = notes_on(images)
    assert notes['mixed-magnification'].text.startswith(
        '100x: 1\u00a0field, 40x: 2\u00a0fields. '
    )
    assert 'mixed-subsets' in notes


def test_cautions_come_first():
    notes, _ = notes_on(make_film(num_fields=3))
    cautions = [note.caution for note in notes.values()]
    assert cautions == sorted(cautions, reverse=True)
    assert len(set(cautions)) == 2
