# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from random_results import CLASSES, SCHEMA, make_results

from mmleuk.evaluation.functional import (
    evaluate_boxes,
    match_results,
    precision_recall_curves,
)


def matched_images(seed, **kwargs):
    results = make_results(np.random.default_rng(seed), **kwargs)
    return match_results(results, len(CLASSES), SCHEMA).images


def coco_ap(curve):
    """Mean over 101 recalls of the best precision there or beyond."""
    return np.mean(
        [
            max(curve.precision[1:][curve.recall[1:] >= recall], default=0)
            for recall in np.linspace(0, 1, 101)
        ]
    )


@pytest.mark.parametrize('max_dets', [100, 1])
@pytest.mark.parametrize('seed', range(8))
def test_curves_have_the_ap_of_coco(seed, max_dets):
    images = matched_images(seed)
    expected = evaluate_boxes(images, len(CLASSES), max_dets)['class_AP_50']
    curves = precision_recall_curves(images, len(CLASSES), 0.5, max_dets)
    for curve, ap in zip(curves, expected):
        assert coco_ap(curve) == pytest.approx(ap, abs=1e-9)


def test_points_are_what_a_threshold_leaves():
    images = matched_images(3, num_images=20)
    curve = precision_recall_curves(images, len(CLASSES))[1]
    assert len(curve.recall) == len(curve.precision) == len(curve.thresholds)
    assert (np.diff(curve.recall) >= 0).all()
    assert (np.diff(curve.thresholds) < 0).all()
    middle = len(curve.recall) // 2
    above = [
        {
            **image,
            **{
                key: image[key][image['scores'] >= curve.thresholds[middle]]
                for key in ('bboxes', 'labels', 'in_unknown_area', 'scores')
            },
        }
        for image in images
    ]
    last = precision_recall_curves(above, len(CLASSES))[1]
    assert last.recall[-1] == curve.recall[middle]
    assert last.precision[-1] == curve.precision[middle]


def test_types_without_cells_or_without_a_right_detection():
    image = dict(
        gt_bboxes=np.array([[0, 0, 10, 10.0]]),
        gt_labels=np.array([1]),
        bboxes=np.array([[50, 50, 60, 60.0], [0, 0, 10, 10]]),
        scores=np.array([0.9, 0.8]),
        labels=np.array([1, 2]),
        in_unknown_area=np.zeros(2, dtype=bool),
    )
    none, wrong, absent = precision_recall_curves([image], 3)
    assert (none.num_cells, len(none.recall)) == (0, 1)
    assert wrong.num_cells == 1
    assert wrong.recall.tolist() == [0, 0]
    assert wrong.precision.tolist() == [1, 0]
    assert absent.num_cells == 0
