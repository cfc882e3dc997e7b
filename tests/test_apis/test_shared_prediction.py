# Copyright (c) mmleuk authors. All rights reserved.
"""Several processes predict what one does."""

import json

import cv2
import numpy as np
import pytest
import torch
from run_processes import run_processes
from shared_prediction import predict_files, predict_readers, work

from mmleuk.apis.work_share import WorkShare


@pytest.fixture(scope='module')
def weights(tiny, tmp_path_factory):
    """The tiny detector with a visualizer."""
    checkpoint = torch.load(tiny.weights, weights_only=True)
    checkpoint['meta']['cfg'] += (
        "visualizer = dict(type='mmleuk.LLDLocalVisualizer', min_side=0)\n"
    )
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save(checkpoint, path)
    return path


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A folder of images of several sizes, one of them broken."""
    folder = tmp_path_factory.mktemp('images')
    (folder / 'more').mkdir()
    rng = np.random.default_rng(0)
    # Whole, whole, in two tiles, in tiles for all processes, whole, ...
    sizes = dict(a=(90, 80), b=(60, 96), c=(96, 150), d=(200, 300))
    sizes |= {'more/e': (96, 96), 'more/f': (50, 70), 'more/g': (96, 90)}
    for name, (height, width) in sizes.items():
        image = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f'{name}.png'), image)
    (folder / 'broken.png').write_text('no image')
    return folder


def read_files(folder):
    """Contents of all files by name, without the time of the run."""
    files = {}
    for path in folder.rglob('*'):
        if path.is_file():
            files[str(path.relative_to(folder))] = path.read_bytes()
    for name in ('folder', 'one'):
        key = f'{name}/predictions.json'
        content = json.loads(files[key])
        created = json.dumps(content['created']).encode()
        files[key] = files[key].replace(created, b'""', 1)
    return files


@pytest.fixture(scope='module')
def expected(weights, images, tmp_path_factory):
    """What one process returns and writes."""
    out = tmp_path_factory.mktemp('expected')
    records = predict_files(weights, images, out)
    return records, read_files(out), predict_readers(weights)


@pytest.mark.slow
def test_the_result_is_that_of_one_process(
    weights, images, expected, tmp_path
):
    records, files, readers = expected
    assert len(files) == 2 * 4 + 7 + 1
    assert 'OpenCV can not decode' in records[2]

    group, out = tmp_path / 'group', tmp_path / 'out'
    group.mkdir()
    ranks = run_processes(work, 3, group, weights, images, out)
    for own_records, own_readers, messages in ranks:
        assert own_records == records
        assert own_readers[:-1] == readers[:-1]
        # Of whichever tile.
        assert own_readers[-1].startswith('RuntimeError: column ')
        assert len(messages) == 2
        assert 'process 1 lists 5 images and process 0 1' in messages[0]
        assert 'hash 1, expected hash 0' in messages[1]
    assert read_files(out) == files


def test_errors_are_those_of_the_first_tile(expected):
    good, broken, other, strict, error = expected[2]
    assert good.replace('000000', '000002') == other
    assert "error='column 216 is lost'" in broken
    assert strict == 'UnreadableImageError: image_000001: column 216 is lost'
    assert error == 'RuntimeError: column 216 is lost'


def test_one_process_keeps_its_own_result():
    assert WorkShare().run(lambda: 3) == [3]
    assert WorkShare.of_group() == WorkShare(0, 1)
