# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from dumped_fields import write_fields
from random_results import ATTRIBUTES, CLASSES

from mmleuk.engine.checkpoint_metadata import (
    load_whole_checkpoint,
    store_calibration,
)
from mmleuk.evaluation import LLDMetric
from mmleuk.evaluation.functional import Calibration

FOLDER = Path(__file__).parents[2] / 'tools' / 'analysis_tools'
PLOTS = {
    'types_confusion',
    'types_precision_recall',
    'reliability',
    'attributes_confusion',
    'attribute_frequencies',
}


@pytest.fixture
def run(monkeypatch):
    """Draw the plots of a folder, and read what is written in the SVGs."""
    monkeypatch.syspath_prepend(str(FOLDER))
    tool = importlib.import_module('plot_results')

    def run_tool(folder, *options):
        out = folder / 'plots'
        required = '--config', folder / 'config.py', '--out', out
        arguments = [folder / 'results.pkl', *required, *options]
        monkeypatch.setattr(
            sys, 'argv', ['plot_results.py', *map(str, arguments)]
        )
        tool.main()
        for path in out.glob('*.png'):
            assert path.with_suffix('.svg').is_file()
        return {
            path.stem: re.findall(
                r'<text[^>]*>([^<]+)</text>', path.read_text()
            )
            for path in out.glob('*.svg')
        }

    return run_tool


@pytest.fixture
def scores_of():
    def score(samples):
        metric = LLDMetric(score_thr=0.25)
        metric.dataset_meta = dict(classes=CLASSES, attributes=ATTRIBUTES)
        metric.process({}, samples)
        return metric.evaluate(len(samples))

    return score


def test_plots_say_what_the_metric_says(run, scores_of, tmp_path):
    samples = write_fields(tmp_path / 'data')
    path = tmp_path / 'calibration.json'
    calibration = Calibration(1.5, {}, 99, 'data/test.json')
    path.write_text(json.dumps(calibration.to_dict()))
    texts = run(tmp_path / 'data', '--calibration', path)
    assert texts.keys() == PLOTS
    # Fitted on what is drawn.
    assert 'fitted on these same cells' in ' '.join(texts['reliability'])
    scores = scores_of(samples)
    for attribute in ATTRIBUTES:
        key = f'lld/attr_{attribute["name"]}_macro_f1'
        note = (
            f'macro-F1 {scores[key]:.3f} matched, '
            f'{scores[f"{key}_e2e"]:.3f} end to end'
        )
        assert note in texts['attributes_confusion']
    joined = ' '.join(texts['types_precision_recall'])
    assert (
        f'AP50 {scores["lld/bbox_mAP_50"]:.3f}, AP '
        f'{scores["lld/bbox_mAP"]:.3f} (COCO)'
    ) in joined
    # The threshold of the config's metric, not the default one.
    assert 'score ≥ 0.25' in ' '.join(texts['types_confusion'])
    panels = re.findall(r'AP50 (\d\.\d+)(?!.*,)', joined)
    by_type = [float(ap) for ap in panels[-len(CLASSES) :]]
    assert sum(by_type) / len(by_type) == pytest.approx(
        scores['lld/bbox_mAP_50'], abs=0.001
    )


def test_calibration_from_a_checkpoint(run, tmp_path):
    folder = tmp_path / 'data'
    write_fields(folder)
    file = folder / 'epoch_1.pth'
    with pytest.raises(SystemExit, match='is not calibrated'):
        run(folder, '--calibration', file)
    calibration = Calibration(1.5, {'cell_size': 2.0}, 99, 'val.json')
    checkpoint = load_whole_checkpoint(file)
    store_calibration(checkpoint, calibration, file, overwrite=True)
    text = run(folder, '--calibration', file)['reliability']
    assert 'calibrated on val.json' in text
    # The type and one attribute, but not the other.
    assert sum('→' in word for word in text) == 2


def test_a_detector_without_attributes(run, tmp_path, capsys):
    write_fields(tmp_path / 'data', with_attributes=False)
    log = tmp_path / 'scalars.json'
    log.write_text('{"lr": 0.1, "loss": 2.0, "epoch": 1, "step": 10}\n')
    texts = run(tmp_path / 'data', '--log', log, '--score-thr', '0.5')
    assert texts.keys() == {
        'types_confusion',
        'types_precision_recall',
        'reliability',
        'training_curves',
    }
    assert 'score ≥ 0.5' in ' '.join(texts['types_confusion'])
    assert 'the detector predicts none' in capsys.readouterr().out


def test_refuses_results_of_other_data(run, tmp_path):
    write_fields(tmp_path / 'data')
    write_fields(tmp_path / 'other')
    (tmp_path / 'other' / 'results.pkl').replace(
        tmp_path / 'data' / 'results.pkl'
    )
    with pytest.raises(SystemExit, match='does not have'):
        run(tmp_path / 'data')
