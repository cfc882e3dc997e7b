# Copyright (c) mmleuk authors. All rights reserved.
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmleuk.datasets import LLD_CLASSES, LLDDataset
from mmleuk.structures import LLD_ATTRIBUTES

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/convert.py'
ROOT = Path(__file__).parents[2] / 'data/pbc_fields'


@pytest.fixture
def sparse(tmp_path):
    """Sparse labels of two fields, and the images."""
    (tmp_path / 'images').mkdir()
    images, annotations = [], []
    for index, name in enumerate(('4_1_1000_ALL.png', '5_1_1000_ALL.png')):
        Image.new('RGB', (100, 80)).save(tmp_path / 'images' / name)
        images.append(
            dict(
                id=index,
                file_name=name,
                width=100,
                height=80,
                annotated_regions=[[0, 0, 50, 80]] if index == 0 else [],
            )
        )
    annotations.append(
        dict(
            id=0,
            image_id=0,
            category_id=3,
            bbox=[10, 10, 20, 20],
            cell_size=1,
            source='x',
        )
    )
    categories = [dict(id=i, name=name) for i, name in enumerate(LLD_CLASSES)]
    path = tmp_path / 'sparse.json'
    path.write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    return path


def call(monkeypatch, *arguments):
    """Run the tool in this process, which saves the imports."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def labels(monkeypatch, source, target, source_format, target_format, *more):
    call(
        monkeypatch,
        *('labels', source, target, '--from', source_format),
        *('--to', target_format, '--images', source.parent / 'images', *more),
    )


def test_command_line(sparse, tmp_path):
    out = tmp_path / 'new/annotations.xml'
    command = [sys.executable, TOOL, 'labels', sparse, out]
    command += ['--from', 'sparse_json', '--to', 'cvat']
    command += ['--images', tmp_path / 'images']
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore'),
    )
    assert done.stdout.splitlines() == [
        f'{out}: 2 images, 1 cells in = 1 out + 0 dropped',
        "  in the source but not kept: 1 'source' of annotations",
    ]
    assert '<box label="annotated region"' in out.read_text()


@pytest.mark.parametrize(
    'target_format, more',
    [
        ('coco', ()),
        ('cvat', ('--region-label', 'seen')),
        ('label_studio', ()),
        ('sparse_text', ()),
    ],
)
def test_there_and_back(sparse, tmp_path, monkeypatch, target_format, more):
    there, back = tmp_path / 'there', tmp_path / 'back.json'
    labels(monkeypatch, sparse, there, 'sparse_json', target_format, *more)
    labels(monkeypatch, there, back, target_format, 'sparse_json', *more)

    def read(path):
        data = LLDDataset(
            ann_file=str(path),
            data_prefix=dict(img=str(tmp_path / 'images')),
            pipeline=[],
        )
        return [data.get_data_info(index) for index in range(len(data))]

    assert read(back) == read(sparse)


def test_losses_are_refused_or_counted(sparse, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out'
    with pytest.raises(SystemExit, match='error: the format yolo can not'):
        labels(monkeypatch, sparse, out, 'sparse_json', 'yolo')
    assert not out.exists()
    labels(monkeypatch, sparse, out, 'sparse_json', 'yolo', '--allow-loss')
    assert '1 codes of Cell Size' in capsys.readouterr().out
    assert (out / '4_1_1000_ALL.txt').exists()
    assert not (out / '5_1_1000_ALL.txt').exists()


def test_maps_and_metainfo(sparse, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out.json'
    attributes = [dict(name='area', values=['few', 'many'])]
    metainfo = tmp_path / 'metainfo.json'
    metainfo.write_text(
        json.dumps(dict(classes=['cell', 'other'], attributes=attributes))
    )
    coco = json.loads(sparse.read_text())
    coco['annotations'][0]['attributes'] = dict(Extent='lots')
    sparse.write_text(json.dumps(coco))
    mapping = dict(Extent=dict(to='area', values=dict(lots='many')))
    labels(
        monkeypatch,
        *(sparse, out, 'coco', 'coco', '--metainfo', metainfo),
        *('--class-map', '{"neutrophil": "cell"}'),
        *('--attribute-map', json.dumps(mapping)),
    )
    content = json.loads(out.read_text())
    assert [item['name'] for item in content['categories']] == [
        'cell',
        'other',
    ]
    assert content['annotations'][0]['attributes'] == dict(area='many')
    assert content['images'][1]['annotated_regions'] == []

    labels(
        monkeypatch,
        *(sparse, tmp_path / 'wbc.json', 'sparse_json', 'sparse_json'),
        *('--class-map', 'wbc'),
    )
    content = json.loads((tmp_path / 'wbc.json').read_text())
    assert content['categories'] == [dict(id=0, name='wbc')]


def test_six_attributes_of_seven_columns(sparse, tmp_path, monkeypatch):
    text, back = tmp_path / 'text', tmp_path / 'back.json'
    labels(monkeypatch, sparse, text, 'sparse_json', 'sparse_text')
    metainfo = dict(attributes=LLD_ATTRIBUTES[1:])

    def convert():
        labels(
            monkeypatch,
            *(text, back, 'sparse_text', 'sparse_json'),
            *('--metainfo', json.dumps(metainfo)),
            *('--region-order', 'x1y1x2y2'),
        )

    with pytest.raises(SystemExit, match='error: .* got 16 columns, of which'):
        convert()
    metainfo['text_columns'] = [item['name'] for item in LLD_ATTRIBUTES]
    convert()
    (cell,) = json.loads(back.read_text())['annotations']
    assert 'cell_size' not in cell
    assert cell['nucleolus'] == 4


@pytest.mark.parametrize(
    'more, message',
    [
        (('--class-map', '{"a": 3}'), 'class_map turns'),
        (('--class-map', '{"a"'), 'expected JSON'),
        (('--class-map', 'absent.json'), 'absent.json'),
        (('--metainfo', '{"classes": "cell"}'), 'expected a list of names'),
        (('--metainfo', '{"attributes": [{"title": 1}]}'), 'no schema'),
        (('--attribute-map', '{"a": 3}'), 'attribute map turns'),
        (('--images', 'absent'), 'absent: 2 of 2'),
        (('--max-mib', '0'), 'expected at most 0'),
        (('--region-label', 'monocyte'), 'a name that no class has'),
    ],
)
def test_errors_are_one_line(sparse, tmp_path, monkeypatch, more, message):
    out = tmp_path / 'out'
    source_format = 'coco' if 'attribute' in more[0] else 'sparse_json'
    with pytest.raises(SystemExit, match=message) as error:
        labels(monkeypatch, sparse, out, source_format, 'cvat', *more)
    assert str(error.value).startswith('error: ')
    assert not out.exists()


@pytest.mark.parametrize('tool', ['cvat', 'label_studio'])
def test_setup(tmp_path, monkeypatch, capsys, tool):
    out = tmp_path / 'setup'
    call(monkeypatch, 'setup', tool, out, '--region-label', 'seen')
    assert capsys.readouterr().out == (
        f'{out}: 14 classes, 7 attributes, and the region label "seen"\n'
    )
    text = out.read_text()
    for name in ('seen', 'abnormal promyelocyte', 'Cytoplasmic Basophilia'):
        assert f'"{name}"' in text


def test_pbc_fields(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match='error: .*absent.csv'):
        call(
            monkeypatch,
            *('pbc-fields', tmp_path, tmp_path / 'out'),
            *('--wbcatt', tmp_path / 'absent.csv'),
        )


@pytest.mark.skipif(not ROOT.exists(), reason='data/pbc_fields is not there')
@pytest.mark.parametrize('name', ['train', 'train_sparse'])
@pytest.mark.parametrize('target_format', ['coco', 'cvat', 'label_studio'])
def test_real_labels_come_back(tmp_path, monkeypatch, name, target_format):
    source = ROOT / f'json_labels/{name}.json'
    back = tmp_path / 'back.json'
    steps = ('sparse_json', target_format, 'sparse_json')
    paths = (source, tmp_path / 'there', back)
    for index in range(2):
        call(
            monkeypatch,
            *('labels', paths[index], paths[index + 1]),
            *('--from', steps[index], '--to', steps[index + 1]),
            *('--images', ROOT / 'images'),
        )
    expected = json.loads(source.read_text())
    found = json.loads(back.read_text())
    assert found['categories'] == expected['categories']
    for image, other in zip(found['images'], expected['images'], strict=True):
        assert image['file_name'] == other['file_name']
        assert image.get('annotated_regions') == (
            None
            if 'annotated_regions' not in other
            else [pytest.approx(r) for r in other['annotated_regions']]
        )
    names = {image['id']: image['file_name'] for image in found['images']}
    others = {image['id']: image['file_name'] for image in expected['images']}
    pairs = zip(found['annotations'], expected['annotations'], strict=True)
    for cell, other in pairs:
        assert names[cell['image_id']] == others[other['image_id']]
        assert cell['bbox'] == pytest.approx(other['bbox'], abs=1e-6)
        for key in set(other) - {'id', 'image_id', 'bbox', 'area', 'source'}:
            assert cell[key] == other[key]
