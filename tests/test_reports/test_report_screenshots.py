# Copyright (c) mmleuk authors. All rights reserved.
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from film_predictions import draw_images, make_film, write_predictions
from PIL import Image

from mmleuk.reports import write_reports

TOOL = Path(__file__).parents[2] / 'tools/dev/report_screenshots.py'


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


@pytest.mark.browser
def test_pictures_of_a_page(tmp_path, monkeypatch, browser_path):
    images = make_film()
    draw_images(tmp_path, images)
    reader = write_predictions(tmp_path / 'p.json', images)
    write_reports(reader, tmp_path / 'out', image_root=tmp_path)
    out = tmp_path / 'pictures'
    call(
        monkeypatch,
        *(tmp_path / 'out/patient_3.html', '--out', out, '--width', 900),
    )
    top = Image.open(out / 'report_top.png')
    assert top.width == 900
    assert top.height > 700
    gallery = np.asarray(Image.open(out / 'cell_gallery.png').convert('RGB'))
    # The cells are there: their colour, as near as the palette comes.
    distance = np.abs(gallery.astype(int) - (110, 60, 150)).sum(axis=2)
    assert (distance < 30).sum() > 5000
    for file in out.iterdir():
        assert file.stat().st_size <= 300_000


def test_no_page(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path / 'absent.html')
    assert 'absent.html' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_too_large_a_picture_is_refused(tmp_path):
    tool = runpy.run_path(str(TOOL))
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), 'uint8')
    Image.fromarray(noise).save(tmp_path / 'shot.png')
    with pytest.raises(ValueError, match='expected at most 300000'):
        tool['write_small'](
            (tmp_path / 'shot.png').read_bytes(), tmp_path / 'small.png'
        )
    assert not (tmp_path / 'small.png').exists()
