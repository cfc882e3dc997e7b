# Copyright (c) mmleuk authors. All rights reserved.
import csv

import pytest
from film_predictions import make_cell, make_header, make_image

from mmleuk.reports.cell_table import cell_table
from mmleuk.reports.found_cells import FoundCell


def write(path, patient, image, header=None):
    cells = [FoundCell(n, 0, n + 1, c) for n, c in enumerate(image.cells)]
    with cell_table(path, header or make_header()) as table:
        table(patient, image, cells)
    with path.open(encoding='utf-8-sig', newline='') as stream:
        return list(csv.DictReader(stream))


def test_all_numbers_of_a_cell(tmp_path):
    image = make_image(
        'ü.png', [make_cell(cytoplasm='abundant', score=0.97)], field='7'
    )
    (row,) = write(tmp_path / 'a.csv', '3', image)
    assert row == dict(
        patient='3',
        file='ü.png',
        field='7',
        cell='1',
        x1='40.0',
        y1='40.0',
        x2='70.0',
        y2='72.0',
        type='myeloblast',
        score='0.9700',
        confidence='0.9000',
        cell_size='medium',
        cell_size_probability='0.8000',
        cell_size_confidence='0.7500',
        cytoplasm='abundant',
        cytoplasm_probability='0.8000',
        cytoplasm_confidence='0.7500',
        surprising='cytoplasm=abundant',
        **{'or': ''},
    )


def test_other_names_of_a_cell(tmp_path):
    rivals = (make_cell('monocyte', 0.4), make_cell('basophil', 0.3))
    with cell_table(tmp_path / 'a.csv', make_header()) as table:
        found = FoundCell(0, 0, 1, make_cell(), rivals)
        table('3', make_image(), [found])
    text = (tmp_path / 'a.csv').read_text(encoding='utf-8-sig')
    assert text.splitlines()[1].endswith(',monocyte 0.4000; basophil 0.3000')


def test_no_confidence_is_empty(tmp_path):
    image = make_image(cells=[make_cell(confidence=None, score=0.5)])
    (row,) = write(tmp_path / 'a.csv', None, image)
    assert row['patient'] == row['confidence'] == ''
    assert row['cytoplasm_confidence'] == ''


@pytest.mark.parametrize('start', ['=', '+', '-', '@', '\t', '\r'])
def test_text_is_no_formula(tmp_path, start):
    name = f'{start}HYPERLINK("x")'
    image = make_image(name, [make_cell()], field=name)
    (row,) = write(tmp_path / 'a.csv', name, image)
    for column in ('patient', 'file', 'field'):
        assert row[column].startswith("'" + start)


def test_hostile_names_stay_in_their_column(tmp_path):
    name = 'a,"b"\r\n;c\ud800'
    (row,) = write(tmp_path / 'a.csv', name, make_image(cells=[make_cell()]))
    assert row['patient'] == 'a,"b"\r\n;c?'


def test_a_table_cut_short_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with cell_table(tmp_path / 'a.csv', make_header()):
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
