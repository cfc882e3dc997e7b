# Copyright (c) mmleuk authors. All rights reserved.
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'


@pytest.fixture
def inference(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import inference

    yield inference
    del sys.modules['inference']


@pytest.fixture
def pair(inference, untrained):
    return inference.build_pair(str(untrained / 'tiny.pth'), 'cpu')


def test_the_pair_differs_in_attributes_alone(inference, pair):
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3))
    image = image.astype(np.uint8)
    inference.check_boxes(pair, image, 0)
    ours, plain = (
        pair[name](image, score_thr=0)['predictions'][0]
        for name in (inference.WITH, inference.WITHOUT)
    )
    assert len(ours.cells) == 5
    assert len(ours.cells[0].attributes) == 7
    assert plain.cells[0].attributes == {}
    assert type(pair[inference.WITHOUT].model.roi_head).__name__ == (
        'StandardRoIHead'
    )


def test_different_boxes_are_refused(inference, pair):
    weights = pair[inference.WITH].model.roi_head.bbox_head.fc_reg.weight
    weights.data.add_(0.3)
    image = np.full((90, 120, 3), 99, np.uint8)
    with pytest.raises(SystemExit, match='expected the same'):
        inference.check_boxes(pair, image, 0)


def test_both_take_turns(inference, pair):
    turns = []
    for name, inferencer in pair.items():
        inferencer.model.register_forward_hook(
            lambda *_, name=name: turns.append(name)
        )
    batches = [[np.zeros((64, 64, 3), np.uint8)] * 2] * 2
    times = inference.compare(pair, batches, 2, 0.3)
    ours, plain = inference.WITH, inference.WITHOUT
    assert turns == [ours, plain, plain, ours, plain, ours, ours, plain]
    for part in inference.PARTS:
        for name in pair:
            assert np.shape(times[part][name]) == (2, 2)
    network, everything = (
        np.array(times[part][ours]) for part in inference.PARTS
    )
    assert (0 < network).all()
    assert (network < everything).all()


def test_the_table_has_rates_and_ratios(inference):
    rows = {
        inference.WITH: [[0.2, 0.2, 9.0], [0.3, 0.3, 0.3]],
        inference.WITHOUT: [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]],
    }
    table = inference.report(dict(network=rows, all=rows)).splitlines()
    # Ratios 2.0, which one disturbed batch does not move, and 1.5.
    assert table[2] == '| network | 3.33 | 6.67 | 1.750 | 1.750 ± 0.354 |'


def test_a_head_without_attributes_is_named(inference, pair):
    cfg = pair[inference.WITHOUT].cfg.model
    with pytest.raises(ValueError, match='RoI head StandardRoIHead'):
        inference.without_attributes(cfg)
