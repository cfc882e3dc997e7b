# Copyright (c) mmleuk authors. All rights reserved.
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmleuk.io.predictions import PredictionWriter
from mmleuk.structures import (
    CellPrediction,
    ImagePrediction,
    PredictionHeader,
)

TOOL = Path(__file__).parents[2] / 'tools/report.py'


@pytest.fixture
def results(tmp_path):
    """Predictions of two patients in folders, by a plain detector."""
    header = PredictionHeader(
        types=('blast', 'monocyte'),
        schema=None,
        model=dict(checkpoint='a.pth'),
        software={},
        created='2026-01-31T12:00:00+00:00',
        image_root=str(tmp_path / 'gone'),
    )
    path = tmp_path / 'predictions.json'
    with PredictionWriter(path, header) as writer:
        for number in range(6):
            file = f'{"ab"[number % 2]}/{number}.png'
            (tmp_path / 'images' / file).parent.mkdir(
                parents=True, exist_ok=True
            )
            Image.new('RGB', (64, 48)).save(tmp_path / 'images' / file)
            cells = [
                CellPrediction((8, 8, 30, 30), 'blast', 0.9),
                CellPrediction((30, 8, 50, 30), 'monocyte', 0.8),
            ]
            writer.write(
                ImagePrediction(
                    file,
                    64,
                    48,
                    cells[number % 2 :],
                    magnification='100x' if number else '40x',
                )
            )
    return path


def call(monkeypatch, *arguments):
    """Run the tool in this process, which saves the imports."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_command_line(results, tmp_path):
    out = tmp_path / 'out'
    command = [sys.executable, TOOL, results, '--out', out]
    command += ['--images', tmp_path / 'images', '--patient-from-folder']
    command += ['--blast-types', 'blast']
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        'a: 3 fields, 6 cells -> patient_a.html',
        'b: 3 fields, 3 cells -> patient_b.html',
        f'{out / "index.html"}: 2 patients',
    ]
    page = (out / 'patient_a.html').read_text(encoding='utf-8')
    assert '50.0\u00a0%' in page
    assert page.count('src="data:image/jpeg') == 3 + 3 + 3
    page = (out / 'patient_b.html').read_text(encoding='utf-8')
    assert 'lies <b>below</b>' not in page


def test_options(results, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out'
    call(
        monkeypatch,
        *(results, '--out', out, '--magnification', '100x'),
        *('--max-pictures', 1, '--max-gallery', 1, '--max-cells', 2),
        *('--blast-mark', 0.3, '--level', 0.9, '--seed', 3),
        *('--blast-types', 'blast', '--picture-size', 64),
        *('--images', tmp_path / 'images', '--min-focus', 10),
    )
    assert capsys.readouterr().out.startswith('no patient named: 5 fields, 7 ')
    page = (out / 'no_patient_named.html').read_text(encoding='utf-8')
    assert page.count('data-opens="field"') == 1
    assert page.count('<tr data-type=') == 2
    assert '90\u00a0% interval' in page
    assert '30\u00a0% mark' in page
    assert '4000 draws of fields, seed 3' in page
    index = (out / 'index.html').read_text(encoding='utf-8')
    assert 'Left out: 1\u00a0image, because 100x' in index


@pytest.mark.parametrize(
    'options, message',
    [
        ('--images nowhere', 'nowhere: --images is no folder that is there'),
        ('--blast-types blasts', "blast type 'blasts', expected one of blast"),
        ('--level 95', 'got level=95.0, expected it between 0 and 1'),
        ('--reference predictions.json', 'its model names no attributes'),
        ('--reference absent.json', 'absent.json'),
        ('--reference images/a/0.png', '0.png: is no reference'),
    ],
)
def test_wrong_options_write_nothing(
    results, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        call(monkeypatch, results, '--out', 'out', *options.split())
    assert not (tmp_path / 'out').exists()


def test_a_malformed_file_is_named(tmp_path, results, monkeypatch):
    record = json.loads(results.read_text())
    record['images'][3]['cells'][0]['type'] = 'platelet'
    results.write_text(json.dumps(record))
    with pytest.raises(SystemExit, match=r'image 3 \(b/3.png\).*platelet'):
        call(monkeypatch, results, '--out', tmp_path / 'out')
    assert not list((tmp_path / 'out').glob('*.html'))
    with pytest.raises(SystemExit, match='absent.json'):
        call(monkeypatch, tmp_path / 'absent.json', '--out', tmp_path / 'out')
