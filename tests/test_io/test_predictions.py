# Copyright (c) mmleuk authors. All rights reserved.
import json
import tracemalloc
from pathlib import Path

import pytest

from mmleuk.io.predictions import PredictionReader, PredictionWriter
from mmleuk.structures import (
    AttributePrediction,
    AttributeSchema,
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
    TypeProfile,
)
from mmleuk.structures.predictions import predictions_schema

SCHEMA = AttributeSchema(
    [dict(name='cytoplasm', title='Cytoplasm', values=('scanty', 'abundant'))]
)
TYPES = ('lymphoblast', 'monocyte')
PROFILE = TypeProfile(TYPES, SCHEMA, dict(cytoplasm=[[97, 3], [1, 9]]))


def make_header(**kwargs):
    return PredictionHeader(
        **{
            **dict(
                types=TYPES,
                schema=SCHEMA,
                model=dict(checkpoint='epoch_1.pth', score_thr=0.3),
                software=dict(mmleuk='0.1.0'),
                created='2026-01-31T12:00:00+00:00',
                image_root='/data/fields',
                calibration=dict(type_temperature=1.5),
                type_profile=PROFILE,
            ),
            **kwargs,
        }
    )


def make_image(file='a/1.png', **kwargs):
    cell = CellPrediction(
        (1.5, 2.0, 30.25, 40.0),
        'lymphoblast',
        0.9,
        dict(cytoplasm=AttributePrediction('abundant', 0.8, (0.2, 0.8), 0.7)),
        0.85,
        PROFILE.explain('lymphoblast', dict(cytoplasm='abundant')),
    )
    return ImagePrediction(
        file, 640, 480, (cell,), patient='3', focus=12.5, **kwargs
    )


def write(path, images, header=None):
    with PredictionWriter(path, header or make_header()) as writer:
        for image in images:
            writer.write(image)
    return path


def test_comes_back_as_it_was(tmp_path):
    images = [
        make_image(),
        ImagePrediction('ü "x".png', 0, 0, error='is cut short'),
        ImagePrediction('none.png', 10, 10),
    ]
    reader = PredictionReader(write(tmp_path / 'deep/p.json', images))
    assert list(reader) == images
    assert list(reader) == images, 'it can be read twice'
    assert reader.header.to_dict() == make_header().to_dict()
    assert reader.header.schema == SCHEMA
    assert reader.header.type_profile.num_cells == 110
    assert [path.name for path in reader.path.parent.iterdir()] == ['p.json']


def test_is_ordinary_json(tmp_path):
    path = write(tmp_path / 'p.json', [make_image(), make_image('b.png')])
    record = json.loads(path.read_text(encoding='utf-8'))
    assert record['format'] == 'mmleuk-predictions'
    assert [image['file'] for image in record['images']] == [
        'a/1.png',
        'b.png',
    ]
    # Laid out by another tool it reads as well.
    path.write_text(json.dumps(record, indent=4), encoding='utf-8')
    assert list(PredictionReader(path)) == [
        make_image(),
        make_image('b.png'),
    ]


def test_schema_in_the_docs_is_generated():
    path = Path(__file__).parents[2] / 'docs/predictions.schema.json'
    assert json.loads(path.read_text()) == predictions_schema(), (
        'write it again, as docs/inference.md says'
    )


def test_no_images_and_no_attributes(tmp_path):
    header = make_header(schema=None, calibration=None, type_profile=None)
    path = write(tmp_path / 'p.json', [], header)
    reader = PredictionReader(path)
    assert list(reader) == []
    assert reader.header == header


def test_a_file_name_that_is_no_unicode_loses_nothing(tmp_path):
    images = [ImagePrediction('caf\udce9.png', 1, 1), make_image()]
    first, second = PredictionReader(write(tmp_path / 'p.json', images))
    assert first.file == 'caf?.png'
    assert second == make_image()


def test_an_interrupted_file_is_not_there(tmp_path):
    path = tmp_path / 'p.json'
    images = iter([make_image(), 'no image'])
    with pytest.raises(TypeError):
        write(path, images)
    assert next(images, None) is None, 'the second one was reached'
    assert not path.exists()


def test_nan_is_not_written(tmp_path):
    path = tmp_path / 'p.json'
    image = ImagePrediction('a.png', 1, 1, focus=float('nan'))
    with pytest.raises(ValueError, match='JSON compliant'):
        write(path, [image])
    assert not path.exists()


def test_memory_does_not_grow_with_images(tmp_path):
    def peak(num_images):
        path = write(
            tmp_path / f'{num_images}.json', [make_image()] * num_images
        )
        tracemalloc.start()
        count = sum(1 for _ in PredictionReader(path))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == num_images
        return size

    few = peak(300)
    assert peak(3000) < 1.5 * few


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(bbox=(1, 2, 1, 4)), 'expected x1 < x2'),
        (dict(bbox=(1, 2, 3)), 'expected four numbers'),
        (dict(bbox=(1, 2, float('nan'), 4)), 'expected four numbers'),
        (dict(score=1.2), 'the score of a cell is 1.2'),
        (dict(score=float('nan')), 'the score of a cell is nan'),
        (dict(confidence=-0.1), 'the confidence of a cell is -0.1'),
    ],
)
def test_bad_cells_are_refused(kwargs, message):
    good = dict(bbox=(1, 2, 3, 4), type='monocyte', score=0.5)
    with pytest.raises(ValueError, match=message):
        CellPrediction(**{**good, **kwargs})


def change(record, keys, value):
    for key in keys[:-1]:
        record = record[key]
    record[keys[-1]] = value


CELL = ('images', 1, 'cells', 0)


@pytest.mark.parametrize(
    'keys, value, message',
    [
        (('format',), 'coco', 'header: got format and version'),
        (('version',), 2, 'header: got format and version'),
        (('types',), None, 'header: '),
        (('attributes',), [dict(name='x', values=['one'])], 'header: '),
        (('type_profile', 'counts'), {}, 'header: a type profile has no'),
        ((*CELL, 'type'), 'platelet', r"image 1 \(b.png\): .*'platelet'"),
        ((*CELL, 'bbox'), [1, 2, 0, 4], r'image 1 \(b.png\): .*x1 < x2'),
        ((*CELL, 'bbox'), 'none', r'image 1 \(b.png\)'),
        ((*CELL, 'score'), None, r'image 1 \(b.png\)'),
        ((*CELL, 'attributes', 'cytoplasm', 'value'), 'blue', "='blue'"),
        ((*CELL, 'attributes', 'cytoplasm', 'probs'), [1.0], 'expected 2'),
        ((*CELL, 'attributes', 'colour'), {}, r'image 1 \(b.png\)'),
        ((*CELL, 'extra'), 1, r'image 1 \(b.png\).*extra'),
        (('images', 1), 'b.png', 'image 1'),
        (('images', 1, 'cells'), 7, r'image 1 \(b.png\)'),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, keys, value, message):
    path = write(tmp_path / 'p.json', [make_image(), make_image('b.png')])
    record = json.loads(path.read_text(encoding='utf-8'))
    change(record, keys, value)
    path.write_text(json.dumps(record), encoding='utf-8')
    with pytest.raises(ValueError, match=message) as error:
        list(PredictionReader(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    'content', [b'', b'[]', b'{"format": "x"', b'\xff\xfe{}', b'{"types": 1}']
)
def test_what_is_no_such_file_is_refused(tmp_path, content):
    path = tmp_path / 'p.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='p.json'):
        PredictionReader(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = write(tmp_path / 'p.json', [make_image()] * 50)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'image \d+: is no JSON'):
        list(PredictionReader(path))
