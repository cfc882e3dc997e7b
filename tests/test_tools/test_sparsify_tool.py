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

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/sparsify.py'
SIZE = (100, 80)
CENTRES = [(20, 20), (50, 40), (90, 70)]


@pytest.fixture
def full(tmp_path):
    """Labels of two fields each of two patients, and the images."""
    images, annotations = [], []
    (tmp_path / 'images').mkdir()
    for name in (f'{p}_{f}_1000_ALL.png' for p in '34' for f in '12'):
        Image.new('RGB', SIZE).save(tmp_path / 'images' / name)
        for crowd, (x, y) in enumerate(CENTRES):
            annotations.append(
                dict(
                    id=len(annotations),
                    image_id=len(images),
                    category_id=1,
                    bbox=[x - 5, y - 5, 10, 10],
                    iscrowd=crowd // 2,
                    cell_size=1,
                )
            )
        images.append(
            dict(id=len(images), file_name=name, width=SIZE[0], height=SIZE[1])
        )
    path = tmp_path / 'full.json'
    categories = [dict(id=i, name=name) for i, name in enumerate(LLD_CLASSES)]
    path.write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    return path


def call(monkeypatch, *arguments):
    """Run the tool in this process, which saves the imports."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def read(root, ann_file):
    return LLDDataset(
        data_root=str(root),
        ann_file=ann_file,
        data_prefix=dict(img='images/'),
        pipeline=[],
    )


def test_command_line(full, tmp_path):
    out = tmp_path / 'new/sparse.json'
    command = [sys.executable, TOOL, full, out, '--share', 0.2]
    command += ['--placement', 'center', '--seed', 1]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith(
        f'{out}: 4 fields, 4 regions, 4 of 8 cells and 0 of 4 ignored ones '
        'kept, '
    )
    assert float(line.split('kept, ')[1].split('%')[0]) == pytest.approx(
        20, 0.05
    )

    data = read(tmp_path, 'new/sparse.json')
    assert not data.issues.counts
    for index in range(4):
        info = data.get_data_info(index)
        ((x1, y1, x2, y2),) = info['annotated_regions']
        assert (x2 - x1) * (y2 - y1) == pytest.approx(1600, rel=0.05)
        (instance,) = info['instances']
        assert instance['bbox'] == [45, 35, 55, 45]
        assert instance['attributes'][0] == 1


def test_regions_and_budgets_by_patient(full, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'sparse.json'
    call(
        monkeypatch,
        *(full, out, '--share', 0.1, '--num-regions', 2),
        *('--aspect-range', 0.8, 1.25, '--placement', 'cells'),
        *('--max-fields-per-patient', 1, '--patient-share', '03=1'),
    )
    assert ': 4 fields, 2 regions, ' in capsys.readouterr().out
    sparse = json.loads(out.read_text())
    stated = [image.get('annotated_regions') for image in sparse['images']]
    assert sorted(map(str, stated[:2])) == ['None', '[]']
    assert sorted(map(len, stated[2:])) == [0, 2]
    data = read(tmp_path, 'sparse.json')
    read_back = [
        data.get_data_info(i)['annotated_regions'] for i in range(len(data))
    ]
    assert read_back == stated


@pytest.mark.parametrize('link', ['same', 'hard', 'symbolic'])
def test_refuses_to_overwrite_the_full_labels(
    full, tmp_path, monkeypatch, link
):
    before = full.read_bytes()
    out = tmp_path / 'images/../full.json'
    if link != 'same':
        out = tmp_path / 'link.json'
        (os.link if link == 'hard' else os.symlink)(full, out)
    with pytest.raises(SystemExit, match='the file of the full labels'):
        call(monkeypatch, full, out, '--share', 0.1)
    assert full.read_bytes() == before


@pytest.mark.parametrize(
    'options, message',
    [
        ('--share 0', 'full.json: got share=0.0, expected a number above 0'),
        ('--share .1 --patient-share 9=.1', 'no image is of the patient 9'),
        ('--share .1 --patient-share 3=.1 03=.2', 'names the patient 3 twice'),
        ('--share .9 --aspect-range 4 5', 'full.json: image 3_1_1000_ALL.png'),
    ],
)
def test_wrong_settings_write_nothing(
    full, tmp_path, monkeypatch, options, message
):
    out = tmp_path / 'sparse.json'
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        call(monkeypatch, full, out, *options.split())
    assert not out.exists()


@pytest.mark.parametrize('pair', ['4', '=0.1', '4=much'])
def test_malformed_shares_of_patients(full, monkeypatch, capsys, pair):
    arguments = full, 'x.json', '--share', 1, '--patient-share', pair
    with pytest.raises(SystemExit):
        call(monkeypatch, *arguments)
    assert f"got '{pair}', expected PATIENT=SHARE" in capsys.readouterr().err


def test_sparse_or_absent_labels_are_no_input(full, tmp_path, monkeypatch):
    sparse, out = tmp_path / 'sparse.json', tmp_path / 'out.json'
    call(monkeypatch, full, sparse, '--share', 0.1)
    with pytest.raises(SystemExit, match='image 3_1_1000_ALL.png already has'):
        call(monkeypatch, sparse, out, '--share', 0.1)
    with pytest.raises(SystemExit, match='absent.json: the full labels are'):
        call(monkeypatch, tmp_path / 'absent.json', out, '--share', 0.1)
    (tmp_path / 'list.json').write_text('[]')
    with pytest.raises(SystemExit, match='list.json'):
        call(monkeypatch, tmp_path / 'list.json', out, '--share', 0.1)
    assert not out.exists()
