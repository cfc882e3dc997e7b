# Copyright (c) mmleuk authors. All rights reserved.
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from test_train_test import free_port

from mmleuk.io.predictions import PredictionReader

TOOL = str(Path(__file__).parents[2] / 'tools' / 'image_demo.py')


@pytest.fixture
def demo(monkeypatch):
    """Run the tool in this process, which saves imports."""

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        runpy.run_path(TOOL, run_name='__main__')

    return run


def test_it_predicts_writes_and_draws(demo, untrained, tmp_path):
    out = tmp_path / 'out'
    options = ['--device', 'cpu', '--score-thr', 0, '--out-dir', out]
    demo(
        untrained / 'fields',
        untrained / 'tiny.pth',
        *options,
        '--batch-size',
        2,
        '--show-dir',
        tmp_path / 'drawn',
    )
    assert sorted(path.name for path in out.iterdir()) == [
        'predictions.coco.json',
        'predictions.coco_images.json',
        'predictions.csv',
        'predictions.json',
    ]
    images = list(PredictionReader(out / 'predictions.json'))
    assert [image.patient for image in images] == ['0', '1']
    assert all(len(image.cells) == 5 for image in images)
    for image in images:
        drawn = cv2.imread(str(tmp_path / 'drawn' / f'{image.file}.jpg'))
        assert drawn is not None

    # The same by config and weights, and in tiles.
    demo(
        untrained / 'fields',
        untrained / 'tiny.py',
        '--weights',
        untrained / 'tiny.pth',
        *options,
        '--tile',
        100,
        '--overlap',
        40,
        '--region',
        0,
        0,
        150,
        100,
    )
    reader = PredictionReader(out / 'predictions.json')
    assert reader.header.model['tiling']['region'] == [0, 0, 150, 100]
    assert reader.header.model['config'] == 'tiny.py'
    assert all(
        0 < len(image.cells) <= 10
        and max(cell.bbox[3] for cell in image.cells) <= 100
        for image in reader
    )


@pytest.mark.slow
def test_two_processes_write_what_one_does(demo, untrained, tmp_path):
    """By torchrun, on the CPU, with an image that can't be read."""
    images = tmp_path / 'images'
    shutil.copytree(untrained / 'fields', images)
    (images / '00.png').write_text('no image')
    options = ['--device', 'cpu', '--score-thr', '0', '--out-dir']
    demo(images, untrained / 'tiny.pth', *options, tmp_path / 'one')
    script = Path(TOOL).parent / 'dist_predict.sh'
    done = subprocess.run(
        ['bash', script, images, untrained / 'tiny.pth', '2']
        + [*options, tmp_path / 'two'],
        env=dict(os.environ, PORT=str(free_port())),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('00.png was not read: OpenCV') == 1
    for path in (tmp_path / 'one').iterdir():
        lines = [
            (tmp_path / folder / path.name).read_text().splitlines()
            for folder in ('one', 'two')
        ]
        # The first line has the time of the run.
        start = path.name == 'predictions.json'
        assert lines[0][start:] == lines[1][start:]


def test_a_gpu_for_all_processes_is_refused(demo, capsys):
    with pytest.raises(SystemExit):
        demo('x', 'a.pth', '--launcher', 'pytorch', '--device', 'cuda:0')
    assert '--device is cuda:0, expected none' in capsys.readouterr().err


def test_images_that_are_not_read_are_told_of(
    demo, untrained, tmp_path, capsys
):
    (tmp_path / 'a.png').write_text('no image')
    args = [tmp_path, untrained / 'tiny.pth', '--out-dir', tmp_path / 'out']
    with pytest.raises(SystemExit, match='no image could be read'):
        demo(*args)
    assert 'a.png was not read: OpenCV' in capsys.readouterr().err
    with pytest.raises(SystemExit, match='error: a.png: OpenCV'):
        demo(*args, '--strict')
    # The next one does not cost the exit status.
    field = untrained / 'fields' / '0_1_1000_ALL.png'
    (tmp_path / 'b.png').write_bytes(field.read_bytes())
    demo(*args)
    assert 'a.png was not read' in capsys.readouterr().err


@pytest.mark.parametrize(
    'args, message',
    [
        (['x', 'a.pth', '--weights', 'b.pth'], 'got two checkpoints'),
        (['x', 'a.py'], 'there is no config a.py'),
        (
            ['x', 'joint/faster-rcnn_lite0_fpn_joint-wbc.py'],
            '--weights: got none for the config',
        ),
        (['x', 'a.pth', '--overlap', '3'], 'need --tile'),
        (['x', 'a.pth', '--region', *'0123'], 'need --tile'),
    ],
)
def test_a_wrong_command_line_is_named(demo, capsys, args, message):
    with pytest.raises(SystemExit):
        demo(*args)
    assert message in capsys.readouterr().err


def test_what_is_not_there_is_named(demo, untrained, tmp_path):
    with pytest.raises(SystemExit, match=r'error: there is no checkpoint'):
        demo(untrained / 'fields', tmp_path / 'a.pth')
    with pytest.raises(
        SystemExit, match=r'error: there is no image or folder'
    ):
        demo(
            tmp_path / 'absent',
            untrained / 'tiny.pth',
            '--out-dir',
            tmp_path / 'out',
        )
