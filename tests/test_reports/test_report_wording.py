# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from film_predictions import SCHEMA, make_cell

from mmleuk.reports import Share
from mmleuk.reports.found_cells import FoundCell
from mmleuk.reports.wording import (
    confidence,
    describe_cell,
    factor,
    interval,
    number,
    pack_cells,
    percent,
    ratio,
    surprise,
)


def plain(text):
    return text.replace('\u00a0', ' ')


def test_numbers():
    assert plain(percent(0.3416)) == '34.2 %'
    assert plain(percent(0.3416, 0)) == '34 %'
    assert percent(None) == '–'
    assert plain(number(1, 'field')) == '1 field'
    assert plain(number(0, 'field')) == '0 fields'
    assert plain(number(12345, 'cell')) == '12,345 cells'
    share = Share(1, 5, 0.036, 0.6245, 'wilson')
    assert plain(interval(share)) == '3.6–62.5 %'


@pytest.mark.parametrize(
    'value, calibrated, text',
    [
        (0.944, True, '94 %'),
        (0.999, True, '>99 %'),
        (1.0, True, '100 %'),
        (0.944, False, '0.94'),
        (None, True, '–'),
    ],
)
def test_confidence(value, calibrated, text):
    assert plain(confidence(value, calibrated)) == text


@pytest.mark.parametrize(
    'value, short, long',
    [
        (4.21, '×4.2', '4.2 times as common'),
        (21.4, '×21', '21 times as common'),
        (0.3, '÷3.3', '3.3 times as rare'),
        (1.0, '×1.0', '1.0 times as common'),
    ],
)
def test_likelihood_ratios(value, short, long):
    assert (factor(value), ratio(value)) == (short, long)


def found(**kwargs):
    return FoundCell(7, 2, 3, make_cell(**kwargs))


def test_a_surprise_in_words():
    (evidence,) = found(cytoplasm='abundant').surprises
    assert plain(surprise(SCHEMA, 'myeloblast', evidence)) == (
        'myeloblast with abundant cytoplasm: 3 % of 100 training cells'
    )


def test_attributes_by_the_way_they_speak():
    described = describe_cell(SCHEMA, found(cytoplasm='abundant'))
    assert [
        (group['kind'], [item['phrase'] for item in group['items']])
        for group in described['groups']
    ] == [
        ('for', ['medium cell size']),
        ('against', ['abundant cytoplasm']),
    ]
    (sentence,) = described['surprises']
    assert sentence.startswith('myeloblast with abundant cytoplasm')


def test_other_names_of_the_cell():
    rivals = (
        make_cell('monocyte', 0.4),
        make_cell('myeloblast', 0.35),
        make_cell('basophil', 0.3),
    )
    found = FoundCell(0, 0, 1, make_cell(), rivals)
    assert describe_cell(SCHEMA, found)['rivals'] == [
        ('monocyte', 0.4),
        ('basophil', 0.3),
    ]


def test_a_type_without_training_data():
    described = describe_cell(SCHEMA, found(kind='basophil'))
    assert [group['kind'] for group in described['groups']] == ['plain']
    assert described['surprises'] == []


def test_an_attribute_that_was_not_named():
    cell = make_cell()
    del cell.attributes['cell_size']
    described = describe_cell(SCHEMA, FoundCell(0, 0, 1, cell))
    assert described['columns'][0] is None
    assert [a['title'] for a in described['attributes']] == ['Cytoplasm']


def test_packed_lines_serve_all_cells():
    cells = []
    for index in range(20):
        cell = FoundCell(index, 0, index, make_cell())
        cells.append(
            dict(
                describe_cell(SCHEMA, cell),
                number=index,
                place=index,
                field='1',
                field_index=0,
                type='myeloblast',
                confidence=0.9,
            )
        )
    packed = pack_cells(cells + cells[:3], calibrated=True)
    assert len(packed['cells']) == 20
    assert len(packed['evidence']) == 2
    title, value, sure, line = packed['cells'][4]['attributes'][1]
    assert (title, value, plain(sure)) == ('Cytoplasm', 'scanty', '75 %')
    assert packed['evidence'][line][0] == 'for'
