# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

TOOL = osp.join(osp.dirname(__file__), '../../tools/dev/draw_doc_pictures.py')
compress = runpy.run_path(TOOL)['compress']


def write_noise(path, side):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def test_a_small_picture_keeps_its_size(tmp_path):
    write_noise(tmp_path / 'a.png', 100)
    compress(tmp_path / 'a.png', tmp_path / 'a.jpg', (50,))
    assert Image.open(tmp_path / 'a.jpg').size == (100, 100)


def test_a_large_picture_is_made_smaller(tmp_path):
    write_noise(tmp_path / 'a.png', 900)
    compress(tmp_path / 'a.png', tmp_path / 'a.jpg', (800, 300, 200))
    assert (tmp_path / 'a.jpg').stat().st_size < 200_000
    assert Image.open(tmp_path / 'a.jpg').size == (300, 300)


def test_what_stays_too_large_is_named(tmp_path):
    write_noise(tmp_path / 'a.png', 900)
    with pytest.raises(ValueError, match=r'a\.png takes \d+ bytes'):
        compress(tmp_path / 'a.png', tmp_path / 'a.jpg')


def test_an_absent_checkpoint_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [TOOL, 'absent.pth'])
    with pytest.raises(SystemExit):
        runpy.run_path(TOOL, run_name='__main__')
    assert 'there is no checkpoint absent.pth' in capsys.readouterr().err
