# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from mmleuk.engine.checkpoint_metadata import (
    CALIBRATION_KEY,
    load_whole_checkpoint,
    read_calibration,
    read_trained_on,
    store_calibration,
)
from mmleuk.evaluation.functional import Calibration

ATTRIBUTES = [
    dict(name='cell_size', values=('small', 'large')),
    dict(name='nucleolus', values=('inconspicuous', 'prominent')),
]
CALIBRATION = Calibration(1.3, {'cell_size': 0.8}, 120, 'val.json')


@pytest.fixture
def file(tmp_path):
    """A checkpoint with what MMEngine's runner writes beside weights."""
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(
        dict(
            state_dict={'weight': torch.arange(4.0)},
            meta=dict(
                epoch=3,
                dataset_meta=ConfigDict(
                    classes=('a', 'b'), attributes=ATTRIBUTES
                ),
            ),
            message_hub=dict(log_scalars={'train/loss': history}),
            optimizer=dict(state={}),
        ),
        tmp_path / 'epoch_3.pth',
    )
    return tmp_path / 'epoch_3.pth'


def test_stores_and_reads(file, tmp_path):
    checkpoint = load_whole_checkpoint(file)
    assert read_calibration(checkpoint['meta']) is None
    before = file.read_bytes()
    out = tmp_path / 'new.pth'
    store_calibration(checkpoint, CALIBRATION, out)
    # Neither the old file nor what was loaded of it has changed.
    assert file.read_bytes() == before
    assert CALIBRATION_KEY not in checkpoint['meta']

    loaded = torch.load(out, weights_only=True)
    assert read_calibration(loaded['meta']) == CALIBRATION
    assert loaded['meta']['epoch'] == 3
    torch.testing.assert_close(loaded['state_dict'], checkpoint['state_dict'])
    history = loaded['message_hub']['log_scalars']['train/loss']
    np.testing.assert_array_equal(history.data[0], [1, 2])
    assert history.mean() == 1.5
    assert loaded.keys() == checkpoint.keys()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        'epoch_3.pth',
        'new.pth',
    ]


def test_overwrites_only_when_asked(file):
    checkpoint = load_whole_checkpoint(file)
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match='there already'):
        store_calibration(checkpoint, CALIBRATION, file)
    assert file.read_bytes() == before
    store_calibration(checkpoint, CALIBRATION, file, overwrite=True)
    again = Calibration(2.0, {}, 5, 'other.json')
    store_calibration(load_whole_checkpoint(file), again, file, overwrite=True)
    assert read_calibration(load_whole_checkpoint(file)['meta']) == again


def test_a_write_cut_short_leaves_the_old_file(file, monkeypatch):
    checkpoint = load_whole_checkpoint(file)
    before = file.read_bytes()

    def fill_the_disk(content, path):
        path.write_bytes(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(torch, 'save', fill_the_disk)
    with pytest.raises(OSError, match='No space'):
        store_calibration(checkpoint, CALIBRATION, file, overwrite=True)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_refuses_temperatures_of_foreign_attributes(file, tmp_path):
    checkpoint = load_whole_checkpoint(file)
    foreign = Calibration(1.0, {'granules': 1.0}, 50, 'val.json')
    with pytest.raises(ValueError, match='granules'):
        store_calibration(checkpoint, foreign, tmp_path / 'new.pth')
    assert not (tmp_path / 'new.pth').exists()


def test_refuses_a_broken_calibration():
    with pytest.raises(ValueError, match='keys'):
        read_calibration({CALIBRATION_KEY: {'type_temperature': 1.0}})


def test_weights_alone_are_no_checkpoint(tmp_path):
    torch.save({'weight': torch.zeros(1)}, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='has no `meta`'):
        load_whole_checkpoint(tmp_path / 'weights.pth')


def test_says_what_was_trained_on(file):
    classes, schema = read_trained_on(load_whole_checkpoint(file), file)
    assert classes == ('a', 'b')
    assert schema.names == ('cell_size', 'nucleolus')
    bare = dict(meta=dict(dataset_meta=dict(classes=('a',))))
    assert read_trained_on(bare, file) == (('a',), None)
    with pytest.raises(ValueError, match="doesn't say which types"):
        read_trained_on(dict(meta={}), file)
