# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from random_results import CLASSES, SCHEMA, make_results

from mmleuk.evaluation.functional import match_results, recall_cells
from mmleuk.structures import match_detections


def cell(bbox, label=0):
    return dict(
        bbox=bbox,
        bbox_label=label,
        ignore_flag=0,
        attributes=[-1] * len(SCHEMA),
    )


def result(name, instances, detections):
    boxes, scores, labels = zip(*detections) if detections else ([], [], [])
    return dict(
        name=name,
        image_shape=(100, 200),
        instances=instances,
        annotated_regions=None,
        bboxes=np.array(boxes, dtype=float).reshape(-1, 4),
        scores=np.array(scores),
        labels=np.array(labels, dtype=np.int64),
    )


def match_all(*results):
    return match_results(results, len(CLASSES), SCHEMA)


def test_found_named_and_drawn():
    matched = match_all(
        result(
            'a.png',
            [cell([50, 40, 60, 60]), cell([90, 40, 110, 60], 1)],
            [([50, 40, 60, 55], 0.9, 0), ([90, 40, 110, 60], 0.8, 2)],
        ),
        result('b.png', [cell([20, 20, 40, 40])], []),
        result(
            'c.png',
            [cell([20, 20, 40, 40])],
            [([70, 20, 90, 40], 0.9, 0), ([20, 20, 40, 40], 0.2, 0)],
        ),
    )
    cells = recall_cells(matched, score_thr=0.3)
    assert cells.found.tolist() == [True, True, False, False]
    assert cells.named.tolist() == [True, False, False, False]
    np.testing.assert_allclose(cells.ious, [0.75, 1, np.nan, np.nan])
    assert recall_cells(matched, score_thr=0.1).found.tolist()[3]


@pytest.mark.parametrize(
    'bbox, at_edge',
    [
        ([50, 40, 60, 60], False),
        ([1, 40, 60, 60], True),
        ([50, 0.5, 60, 60], True),
        ([50, 40, 199, 60], True),
        ([50, 40, 60, 99.5], True),
        # One hundredth of the shorter side, 100, is one pixel.
        ([1.5, 40, 60, 60], False),
        ([50, 40, 198.5, 60], False),
    ],
)
def test_edge(bbox, at_edge):
    matched = match_all(result('a.png', [cell(bbox)], []))
    assert recall_cells(matched, 0.3).at_edge.tolist() == [at_edge]
    wide = recall_cells(matched, 0.3, edge=0.02).at_edge.tolist()
    assert wide == [at_edge or bbox[0] == 1.5 or bbox[2] == 198.5]


@pytest.mark.parametrize('seed', range(3))
def test_finds_what_is_matched_at_any_score(seed):
    results = make_results(np.random.default_rng(seed), 20)
    matched = match_all(*results)
    cells = recall_cells(matched, 0.25)
    assert 0 < cells.found.sum() < len(cells.found)
    expected = []
    for image in matched.images:
        kept = image['scores'] >= 0.25
        # Those above the threshold alone give the same pairs.
        match = match_detections(
            image['bboxes'][kept], image['scores'][kept], image['gt_bboxes']
        )
        numbers = range(len(image['gt_bboxes']))
        expected += [number in match for number in numbers]
    assert cells.found.tolist() == expected
    assert (cells.ious[cells.found] >= 0.5).all()
    assert np.isnan(cells.ious[~cells.found]).all()
    assert not (cells.named & ~cells.found).any()


def test_no_cells():
    matched = match_all(result('a.png', [], [([70, 20, 90, 40], 0.9, 0)]))
    assert len(recall_cells(matched, 0.3).found) == 0
