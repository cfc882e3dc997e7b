# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.ops import nms

from mmleuk.structures import (
    best_detections,
    center_in_regions,
    group_boxes,
    match_detections,
    one_box_per_cell,
)

CELLS = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])


def test_the_best_score_chooses_first():
    detections = np.array(
        [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [60, 60, 70, 70.0]]
    )
    scores = np.array([0.5, 0.9, 0.99])
    matches = match_detections(detections, scores, CELLS)
    np.testing.assert_array_equal(matches, [-1, 0, -1])


def test_a_taken_cell_leaves_the_next_best():
    cells = np.array([[0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]])
    detections = np.array([[0.0, 0.0, 10.0, 10.0], [0.5, 0.0, 10.5, 10.0]])
    matches = match_detections(detections, np.array([0.9, 0.8]), cells)
    np.testing.assert_array_equal(matches, [0, 1])


def test_equal_scores_keep_their_order():
    detections = np.repeat(CELLS[:1], 3, axis=0)
    matches = match_detections(detections, np.full(3, 0.5), CELLS)
    np.testing.assert_array_equal(matches, [0, -1, -1])


def test_the_threshold_itself_is_a_match():
    half = np.array([[0.0, 0.0, 10.0, 5.0]])
    assert match_detections(half, np.array([0.9]), CELLS, 0.5)[0] == 0
    assert match_detections(half, np.array([0.9]), CELLS, 0.51)[0] == -1


def test_classes_part_pairs_only_on_request():
    scores = np.array([0.9, 0.8])
    detections = np.repeat(CELLS[:1], 2, axis=0)
    labels, gt_labels = np.array([1, 2]), np.array([2, 2])
    free = match_detections(detections, scores, CELLS)
    strict = match_detections(
        detections, scores, CELLS, labels=labels, gt_labels=gt_labels
    )
    np.testing.assert_array_equal(free, [0, -1])
    np.testing.assert_array_equal(strict, [-1, 0])


def test_empty_sides():
    none, scores = np.zeros((0, 4)), np.zeros(0)
    assert match_detections(none, scores, CELLS).shape == (0,)
    np.testing.assert_array_equal(
        match_detections(CELLS, np.ones(2), none), [-1, -1]
    )
    np.testing.assert_array_equal(
        best_detections(none, scores, CELLS), [-1, -1]
    )
    assert best_detections(CELLS, np.ones(2), none).shape == (0,)


def test_best_detection_has_no_floor():
    detections = np.array(
        [[0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 1.0, 1.0]]
    )
    scores = np.array([0.9, 0.1, 0.95])
    # The first cell is matched by the weak but best-placed detection, the
    # second, which none touches, by the best score.
    np.testing.assert_array_equal(
        best_detections(detections, scores, CELLS), [1, 2]
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_pairs_above_a_score_are_the_pairs_made_alone(seed, score_thr):
    rng = np.random.default_rng(seed)
    lows = rng.uniform(0, 20, (14, 2))
    boxes = np.concatenate([lows, lows + rng.uniform(4, 14, (14, 2))], 1)
    detections, cells = boxes[:9], boxes[9:]
    scores = rng.uniform(size=9)
    kept = scores >= score_thr
    np.testing.assert_array_equal(
        match_detections(detections, scores, cells, 0.3)[kept],
        match_detections(detections[kept], scores[kept], cells, 0.3),
    )


def test_the_best_box_stands_for_those_it_overlaps():
    boxes = np.array(
        [
            [10.0, 0, 40, 10],
            [0, 0, 30, 10],  # an IoU of 1/2 with the first
            [20, 0, 50, 10],  # likewise, but 1/5 with the second
            [5, 5, 5, 5],
            [5, 5, 5, 5],
        ]
    )
    scores = np.array([0.7, 0.8, 0.9, 0.1, 0.2])
    owners = group_boxes(boxes, scores, 0.5)
    assert owners.tolist() == [2, 1, 2, 3, 4]
    assert group_boxes(boxes, -scores, 0.5).tolist() == [0, 0, 0, 3, 4]
    assert one_box_per_cell(boxes, scores, 0.5).tolist() == [2, 1, 4, 3]
    assert group_boxes(boxes[:0], scores[:0], 0.5).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
def test_one_box_per_cell_is_nms(seed, iou_thr):
    rng = np.random.default_rng(seed)
    lows = rng.uniform(0, 20, (14, 2))
    boxes = np.concatenate([lows, lows + rng.uniform(4, 14, (14, 2))], 1)
    scores = rng.uniform(size=14)
    _, kept = nms(
        torch.from_numpy(boxes).float(),
        torch.from_numpy(scores).float(),
        iou_thr,
    )
    chosen = one_box_per_cell(boxes, scores, iou_thr)
    assert chosen.tolist() == kept.tolist()


@pytest.mark.parametrize('kind', [np.array, torch.tensor])
def test_centre_in_a_region(kind):
    boxes = kind([[0.0, 0, 10, 10], [6, 6, 16, 16], [30, 30, 40, 40]])
    regions = kind([[5.0, 5, 20, 20], [36, 0, 50, 50]])
    assert center_in_regions(boxes, regions).tolist() == [True, True, False]
    inside = center_in_regions(boxes, regions, border_share=0.3)
    assert inside.tolist() == [False, True, False]
    near = center_in_regions(boxes, regions, slack=1)
    assert near.tolist() == [True, True, True]
    assert not center_in_regions(boxes, regions[:0]).any()
