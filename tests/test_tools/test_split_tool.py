# Copyright (c) mmleuk authors. All rights reserved.
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/split.py'


@pytest.fixture
def everything(tmp_path):
    """Labels of 12 patients with three fields each."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for patient in range(12):
        for field in range(3):
            image = len(images)
            name = f'{patient}_{field}_1000_ALL.png'
            images.append(dict(id=image, file_name=name, width=9, height=9))
            for _ in range(rng.integers(1, 6)):
                annotations.append(
                    dict(
                        id=len(annotations),
                        image_id=image,
                        category_id=int(rng.integers(2)),
                        bbox=[1, 1, 5, 5],
                        cell_size=int(rng.integers(3)),
                        note='kept',
                    )
                )
    annotations.append(dict(id=999, image_id=999, category_id=0, bbox=[]))
    path = tmp_path / 'all.json'
    categories = [dict(id=0, name='none'), dict(id=1, name='myeloblast')]
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


def patients(content):
    return {image['file_name'].split('_')[0] for image in content['images']}


def test_command_line(everything, tmp_path):
    out = tmp_path / 'out'
    command = [sys.executable, TOOL, everything, out]
    command += ['--shares', 'train=0.5', 'val=0.25', 'test=0.25']
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore'),
    )
    assert not done.stderr
    lines = done.stdout.splitlines()
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines
        if line.startswith('|')
    ]
    assert rows[0] == ['', 'train', 'val', 'test', 'all']
    assert [row[0] for row in rows[1:]] == [
        'patients',
        'images',
        'myeloblast',
        'none',
        'cell_size large',
        'cell_size medium',
        'cell_size small',
    ]
    assert rows[2] == ['images', '18 (50%)', '9 (25%)', '9 (25%)', '36']
    assert lines[-2] == 'note: 1 annotations of images not listed left out'
    assert float(lines[-1].split('imbalance ')[1].split()[0]) < 0.02

    whole = json.loads(everything.read_text())
    seen, cells = [], []
    listed = json.loads((out / 'parts.json').read_text())['parts']
    for row, name in enumerate(('train', 'val', 'test')):
        part = json.loads((out / f'{name}.json').read_text())
        assert sorted(patients(part)) == sorted(listed[name]['patients'])
        assert len(part['images']) == int(rows[2][row + 1].split()[0])
        seen += patients(part)
        cells += part['annotations']
    assert len(seen) == len(set(seen)) == 12
    cells.sort(key=lambda cell: cell['id'])
    assert cells == whole['annotations'][:-1]


def test_folds(everything, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out'
    call(monkeypatch, everything, out, '--folds', 3, '--test', 0.25)
    test = patients(json.loads((out / 'test.json').read_text()))
    seen = set()
    for fold in range(3):
        train, val = (
            patients(json.loads((out / f'fold_{fold}/{n}.json').read_text()))
            for n in ('train', 'val')
        )
        assert not train & val
        assert not seen & val
        assert train | val | test == {str(i) for i in range(12)}
        assert not (train | val) & test
        seen |= val
    assert len(seen) == 9
    with pytest.raises(SystemExit, match='is there already'):
        call(monkeypatch, everything, out, '--folds', 3, '--test', 0.25)
    again = tmp_path / 'again'
    call(monkeypatch, everything, again, '--folds', 3, '--test', 0.25)
    name = 'parts.json'
    assert (again / name).read_text() == (out / name).read_text()
    capsys.readouterr()


def rename(path):
    """Give the images names that state no patient."""
    path.write_text(path.read_text().replace('_1000_ALL', '_field'))


def test_images_without_a_patient(everything, tmp_path, monkeypatch, capsys):
    rename(everything)
    shares = ('--shares', 'a=0.5', 'b=0.5')
    with pytest.raises(SystemExit, match='36 images state no patient'):
        call(
            monkeypatch,
            *(everything, tmp_path / 'o', *shares, '--require-patients'),
        )
    call(monkeypatch, everything, tmp_path / 'o', *shares)
    assert '36 images state no patient' in capsys.readouterr().err
    parts = json.loads((tmp_path / 'o/parts.json').read_text())['parts']
    assert parts['a']['patients'] == []


def test_a_table_of_patients(everything, tmp_path, monkeypatch, capsys):
    rename(everything)
    names = [
        image['file_name']
        for image in json.loads(everything.read_text())['images']
    ]
    table = tmp_path / 'patients.csv'
    rows = [f'{name},P{name.split("_")[0]}' for name in names]
    table.write_text('\n'.join(['file_name,patient', *rows]))
    arguments = ('--shares', 'a=0.5', 'b=0.5', '--patients', table)
    call(monkeypatch, everything, tmp_path / 'o', *arguments)
    assert not capsys.readouterr().err
    parts = json.loads((tmp_path / 'o/parts.json').read_text())['parts']
    both = parts['a']['patients'] + parts['b']['patients']
    assert sorted(both) == sorted(f'p{i}' for i in range(12))
    for text, message in (
        ('a,b\n', 'expected file_name and patient'),
        (f'file_name,patient\n{names[0]},\n', 'row 2: .* one patient'),
        (f'file_name,patient\n{names[0]},1\n', '35 of 36 images have no'),
        (
            f'file_name,patient\n{names[0]},1\n{names[0]},2\n',
            'row 3: .* one patient',
        ),
    ):
        table.write_text(text)
        with pytest.raises(SystemExit, match=message):
            call(monkeypatch, everything, tmp_path / 'p', *arguments)


def test_a_class_that_a_part_lacks_is_named(
    everything, tmp_path, monkeypatch, capsys
):
    content = json.loads(everything.read_text())
    for annotation in content['annotations']:
        annotation['category_id'] = int(annotation['image_id'] == 0)
    everything.write_text(json.dumps(content))
    call(
        monkeypatch,
        *(everything, tmp_path / 'o', '--shares', 'a=0.5', 'b=0.5'),
        '--without-attributes',
    )
    out = capsys.readouterr().out
    assert 'cell_size' not in out
    assert 'myeloblast is not in' in out
    assert '1 patients have it' in out


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--shares', 'a=0.5', 'b=0.6'], 'whose sum is 1'),
        (['--shares', 'a=0.5', 'a=0.5'], 'parts of different names'),
        (['--shares', 'a=0.5', 'b=0.5', '--test', '0.1'], 'parts of differ'),
        (['--folds', '1'], 'two or more folds'),
        (['--folds', '3', '--test', '1'], 'a share between 0 and 1'),
        (['--folds', '13'], 'got 12 patients for 13 parts'),
        (['--folds', '3', '--metainfo', 'absent'], 'absent'),
        (['--folds', '3', '--patients', 'absent'], 'absent'),
    ],
)
def test_errors(everything, tmp_path, monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call(monkeypatch, everything, tmp_path / 'o', *arguments)
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('share', ['a', '=1', '../a=1', 'a=x'])
def test_names_of_parts(everything, tmp_path, monkeypatch, capsys, share):
    with pytest.raises(SystemExit):
        call(monkeypatch, everything, tmp_path / 'o', '--shares', share)
    assert 'expected NAME=SHARE' in capsys.readouterr().err
