# Copyright (c) mmleuk authors. All rights reserved.
import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from faulty_dataset import BOXES, SIZE, FaultyDataset

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/check_dataset.py'


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the tool in this process, which saves the imports."""

    def _call(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        # It sets how odd names are written.
        monkeypatch.setattr(
            type(sys.stdout), 'reconfigure', lambda self, **kw: None, False
        )
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOL), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return _call


@pytest.fixture
def faulty_dataset(tmp_path):
    faulty_dataset = FaultyDataset(tmp_path / 'data')
    faulty_dataset.write()
    return faulty_dataset


def paths(faulty_dataset):
    return [
        '--ann',
        faulty_dataset.json_path,
        '--images',
        faulty_dataset.folder / 'images',
        '--workers',
        1,
    ]


def test_as_a_program(faulty_dataset):
    done = subprocess.run(
        [sys.executable, str(TOOL), *map(str, paths(faulty_dataset))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '6 images (0 annotated in regions), 12 cells' in done.stdout
    assert '6 images decoded' in done.stdout
    assert '6/6' in done.stderr


def test_faults_give_status_1_and_json(faulty_dataset, call):
    faulty_dataset.add_cell((1, 1, 0, 0))
    faulty_dataset.write()
    status, out, _ = call(*paths(faulty_dataset), '--json', '--no-images')
    assert status == 1
    content = json.loads(out)
    assert content['status'] == 1
    (fault,) = content['sources'][0]['faults']
    assert fault['kind'] == 'boxes without an area in the image dropped'
    assert content['sources'][0]['split'] == 'train'


def test_refused_data_gives_status_2(faulty_dataset, call):
    faulty_dataset.raw = b'['
    faulty_dataset.write()
    status, out, _ = call(*paths(faulty_dataset))
    assert status == 2
    assert 'REFUSED: ' in out


def test_a_config(faulty_dataset, tmp_path, call):
    dataset = dict(type='mmleuk.LLDDataset', **faulty_dataset.options)
    config = tmp_path / 'config.py'
    config.write_text(
        f'train_dataloader = dict(dataset={dataset!r})\n'
        f'val_dataloader = dict(dataset={dataset!r})\n'
        'test_dataloader = val_dataloader\n'
    )
    status, out, _ = call(config, '--workers', 1)
    assert status == 1
    assert '== val and test: ' in out
    assert '6 patients in more than one split [reported]' in out
    status, out, _ = call(
        config,
        '--no-images',
        '--cfg-options',
        'val_dataloader.dataset.ann_file=none.json',
    )
    assert status == 2
    assert 'none.json' in out


@pytest.mark.parametrize('options', [(), ('--no-images',)])
def test_one_file_in_two_splits_is_a_leak(faulty_dataset, call, options):
    for image in faulty_dataset.images:
        new = image['file_name'].replace('_', '-')
        old = faulty_dataset.image_path(image['file_name'])
        old.rename(faulty_dataset.image_path(new))
        image['file_name'] = new
    faulty_dataset.write()
    ann = faulty_dataset.json_path
    status, out, _ = call(
        *('--ann', ann, ann),
        *('--images', faulty_dataset.folder / 'images'),
        *('--workers', 1),
        *options,
    )
    assert status == 1
    assert 'patients in more than one split' not in out
    assert '6 identical images in more than one split [reported]' in out


def test_misplaced_boxes_are_drawn(faulty_dataset, call, tmp_path):
    image = np.full((*SIZE[::-1], 3), 210, np.uint8)
    for x, y, width, height in BOXES:
        centre = round(x + width / 2), round(y + height / 2 + 14)
        cv2.circle(image, centre, 5, (120, 40, 110), -1)
    name = '5_1_1000_ALL.png'
    cv2.imwrite(str(faulty_dataset.image_path(name)), image)
    folder = tmp_path / 'pictures'
    arguments = [*paths(faulty_dataset), '--pictures', folder]
    status, out, _ = call(*arguments, '--json')
    assert status == 1
    ((path, move),) = json.loads(out)['misplaced'].items()
    assert path == str(faulty_dataset.image_path(name))
    assert abs(move['shift'][1] - 14) <= 3
    pictures = [p for p in folder.rglob('*') if p.is_file()]
    assert pictures == [folder / 'misplaced' / name]
    assert cv2.imread(str(pictures[0])).shape == image.shape
    status, _, err = call(*arguments, '--no-images')
    assert status == 2
    assert '--pictures needs the images' in err


def test_overlapping_fields_are_drawn(faulty_dataset, call, tmp_path):
    width, height = SIZE
    film = faulty_dataset.picture('film', (width * 3 // 2, height))
    faulty_dataset.add_image('5_2_1000_ALL.png', draw=False)
    faulty_dataset.write()
    for number in (1, 2):
        left = (number - 1) * width // 2
        film.crop((left, 0, left + width, height)).save(
            faulty_dataset.image_path(f'5_{number}_1000_ALL.png')
        )
    arguments = [*paths(faulty_dataset), '--pictures', tmp_path / 'pictures']
    status, out, _ = call(*arguments, '--json')
    assert status == 1
    (pair,) = json.loads(out)['overlaps']
    assert pair['one'].endswith('5_1_1000_ALL.png')
    assert pair['shift'] == [32, 0]
    assert pair['share'] == pytest.approx(0.5)
    picture = tmp_path / 'pictures/overlaps/5_1_1000_ALL~5_2_1000_ALL.png'
    assert cv2.imread(str(picture)).shape == (height, 2 * width, 3)


def test_a_root_of_subsets(tmp_path, call):
    for subset in ('H_100x_C1', 'other'):
        faulty_dataset = FaultyDataset(tmp_path / 'root' / subset)
        faulty_dataset.write()
        images = faulty_dataset.folder / 'images'
        images.rename(faulty_dataset.folder / 'train')
        images.mkdir()
        (faulty_dataset.folder / 'train').rename(images / 'train')
        (faulty_dataset.folder / 'json_labels').mkdir()
        faulty_dataset.json_path.rename(
            faulty_dataset.folder / 'json_labels/train.json'
        )
    status, out, _ = call('--root', tmp_path / 'root', '--no-images')
    assert '== train: H_100x_C1' in out
    assert 'images by subsets: H_100X_C1: 6' in out
    assert 'other' not in out
    # The split test is not there.
    assert status == 2
    status, _, err = call('--root', tmp_path)
    assert status == 2
    assert 'no folder has the name of a subset' in err


def test_other_classes(faulty_dataset, call):
    faulty_dataset.categories = [dict(id=1, name='platelet')]
    faulty_dataset.write()
    assert call(*paths(faulty_dataset), '--no-images')[0] == 2
    status, out, _ = call(
        *paths(faulty_dataset), '--no-images', '--classes', 'platelet'
    )
    assert status == 0
    assert '| platelet      | 12 |' in out


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'expected one of'),
        ([__file__, '--root', 'b'], 'expected one of'),
        (['--ann', 'a.json'], 'needs --images'),
        (['--ann', 'a', 'b', 'c', '--images', 'd', 'e'], '2 --images for 3'),
    ],
)
def test_wrong_arguments(call, arguments, message):
    status, _, err = call(*arguments)
    assert status == 2
    assert message in err
