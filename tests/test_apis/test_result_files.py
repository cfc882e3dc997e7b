# Copyright (c) mmleuk authors. All rights reserved.
import csv
import json

import pytest
from pycocotools.coco import COCO

from mmleuk.apis.result_files import ResultFiles
from mmleuk.io.predictions import PredictionReader
from mmleuk.structures import (
    AttributePrediction,
    AttributeSchema,
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
)

SCHEMA = AttributeSchema([dict(name='size', values=('small', 'large'))])
HEADER = PredictionHeader(
    types=('blast', '=other'),
    schema=SCHEMA,
    model=dict(),
    software=dict(),
    created='2026-01-31T12:00:00+00:00',
)


def make_cell(kind='blast', confidence=None):
    size = AttributePrediction('large', 0.9, (0.1, 0.9), confidence)
    return CellPrediction(
        (1.5, 2, 30, 42.25), kind, 0.75, dict(size=size), confidence
    )


IMAGES = [
    ImagePrediction('a/é.png', 60, 50, (make_cell(),), patient='4'),
    ImagePrediction('b.png', 0, 0, error='the file is cut short'),
    ImagePrediction(
        '=b.png', 60, 50, (make_cell(confidence=0.5), make_cell('=other'))
    ),
]


@pytest.fixture
def folder(tmp_path):
    with ResultFiles(tmp_path / 'new' / 'out', HEADER) as files:
        for image in IMAGES:
            files.write(image)
    return tmp_path / 'new' / 'out'


def read_csv(path):
    with open(path, encoding='utf-8-sig', newline='') as stream:
        return list(csv.DictReader(stream))


def test_json_has_all(folder):
    assert list(PredictionReader(folder / 'predictions.json')) == IMAGES


def test_csv_has_a_row_a_cell(folder):
    rows = read_csv(folder / 'predictions.csv')
    assert rows[0] == dict(
        file='a/é.png',
        patient='4',
        field='',
        x1='1.5',
        y1='2',
        x2='30',
        y2='42.25',
        type='blast',
        score='0.75',
        confidence='uncalibrated',
        size='large',
        size_probability='0.9',
        size_confidence='uncalibrated',
    )
    assert len(rows) == 3
    assert (rows[1]['confidence'], rows[1]['size_confidence']) == (
        '0.5',
        '0.5',
    )


@pytest.mark.parametrize(
    'name',
    [
        '=cmd|x',
        '+1',
        '-1',
        '@SUM(A1)',
        '\t=1',
        '\r=1',
        '\n1',
        ' =1',
        '＝1',
        '\x00=1',
        '\ufeff=1',
    ],
)
def test_csv_runs_no_formula(tmp_path, name):
    with ResultFiles(tmp_path, HEADER) as files:
        files.write(ImagePrediction('a.png', 9, 9, (make_cell(),), name))
    (row,) = read_csv(tmp_path / 'predictions.csv')
    assert row['patient'] == f"'{name}"


def test_csv_leaves_plain_text(tmp_path):
    for name in ('4', 'P-7', 'a=b', "d'Or", '', 'x,"y"\n'):
        with ResultFiles(tmp_path, HEADER) as files:
            files.write(ImagePrediction('a.png', 9, 9, (make_cell(),), name))
        (row,) = read_csv(tmp_path / 'predictions.csv')
        assert row['patient'] == name


def test_coco_is_read_by_pycocotools(folder):
    coco = COCO(folder / 'predictions.coco_images.json')
    results = coco.loadRes(str(folder / 'predictions.coco.json'))
    assert [coco.imgs[i]['file_name'] for i in sorted(coco.imgs)] == [
        image.file for image in IMAGES
    ]
    first, second, third = results.loadAnns(results.getAnnIds())
    assert first['bbox'] == [1.5, 2, 28.5, 40.25]
    assert (first['image_id'], second['image_id']) == (1, 3)
    assert coco.cats[third['category_id']]['name'] == '=other'
    assert (first['score'], first['attributes']) == (0.75, {'size': 'large'})


def test_what_is_cut_short_has_another_name(tmp_path):
    def write():
        with ResultFiles(tmp_path, HEADER) as files:
            files.write(IMAGES[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 4
    assert all(name.endswith('.partial') for name in names)


def test_a_run_without_cells_writes_sound_files(tmp_path):
    with ResultFiles(tmp_path, HEADER):
        pass
    assert read_csv(tmp_path / 'predictions.csv') == []
    assert list(PredictionReader(tmp_path / 'predictions.json')) == []
    for name in ('coco', 'coco_images'):
        json.loads((tmp_path / f'predictions.{name}.json').read_text())
