# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import re
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


def test_draws_chances_beside_scores(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    tool = importlib.import_module('mining_reliability')
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    judged = dict(
        scores=scores,
        chances=scores**2,
        right=scores > 0.4,
        right_by_score=scores > 0.5,
        is_mined=scores > 0.9,
    )
    tool.draw(judged, [tmp_path / 'a.svg'])
    text = re.findall(
        r'<text[^>]*>([^<]+)</text>', (tmp_path / 'a.svg').read_text()
    )
    assert {
        'score of the teacher',
        'calibrated chance (lower bound)',
        'mined',
    } <= set(text)
    assert any('200 detections' in word for word in text)
