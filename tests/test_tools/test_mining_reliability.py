# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmleuk.models.mining import RegionMiner

FOLDER = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


def test_draws_confidences_beside_scores(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    tool = importlib.import_module('mining_reliability')
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    matched = dict(
        scores=scores,
        confidences=scores**2,
        right=scores > 0.4,
        right_by_score=scores > 0.5,
        is_mined=scores > 0.9,
    )
    tool.draw(matched, [tmp_path / 'a.svg'])
    text = re.findall(
        r'<text[^>]*>([^<]+)</text>', (tmp_path / 'a.svg').read_text()
    )
    assert {
        'score of the teacher',
        'calibrated confidence (lower bound)',
        'mined',
    } <= set(text)
    assert any('200 detections' in word for word in text)


def cell(x, label, ignored=0, attributes=(0, 1)):
    return dict(
        bbox=[x, 20.0, x + 20, 40.0],
        bbox_label=label,
        ignore_flag=ignored,
        attributes=attributes,
    )


def test_matches_what_is_mined_to_the_full_labels(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    tool = importlib.import_module('mining_reliability')
    attributes = [dict(name=name, values=('a', 'b')) for name in 'xy']
    miner = RegionMiner(
        3,
        attributes,
        target_precision=0.7,
        min_probability=0.6,
        type_std=None,
        attribute_precision=0.5,
    )
    lefts = torch.tensor([10.0, 110, 140, 170, 230, 300])
    boxes = torch.stack([lefts, lefts * 0 + 20, lefts + 20, lefts * 0 + 40], 1)
    # In the ignored cell, which is larger, lies a small detection.
    boxes[4] = torch.tensor([230.0, 20, 236, 26])
    sample = DetDataSample(
        metainfo=dict(
            img_path='a.png',
            ori_shape=(400, 400),
            instances=[cell(10, 0)],
            annotated_regions=[[0.0, 0, 100, 400]],
        )
    )
    sample.pred_instances = InstanceData(
        bboxes=boxes,
        labels=torch.tensor([0, 0, 0, 1, 1, 2]),
        scores=torch.tensor([0.9, 0.9, 0.8, 0.7, 0.9, 0.2]),
        attribute_labels=torch.tensor([[0, 0]] * 6),
        attribute_scores=torch.full((6, 2), 0.9),
    )
    miner.store(sample, held_out=False)
    miner.calibrate()
    labels = [
        cell(10, 0),
        cell(110, 0, attributes=(0, -1)),
        cell(140, 1, attributes=(1, 0)),
        cell(230, 1, ignored=1),
        cell(350, 2),
    ]
    matched = tool.match_bank(miner, {'a.png': labels})
    order = matched['scores'].argsort()[::-1]
    assert matched['scores'][order] == pytest.approx([0.9, 0.8, 0.7, 0.2])
    assert matched['right'][order].tolist() == [True, False, False, False]
    assert matched['is_cell'][order].tolist() == [True, True, False, False]
    assert matched['is_mined'][order].tolist() == [True, True, True, False]
    assert sorted(matched['attribute_right'].tolist()) == [False, True, True]
    assert matched['ious'].tolist() == [1, 1]
    summary = tool.summarise(matched, 0.7)
    assert summary['unlabelled_cells'] == 3
    assert summary['precision'] == pytest.approx(1 / 3)
    assert summary['precision_of_place'] == pytest.approx(2 / 3)
    assert summary['recall'] == pytest.approx(1 / 3)
    with pytest.raises(SystemExit, match=r'the bank has a\.png'):
        tool.match_bank(miner, {})
