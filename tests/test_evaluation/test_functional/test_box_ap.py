# Copyright (c) mmleuk authors. All rights reserved.
import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmleuk.evaluation.functional import evaluate_boxes, without_classes

KEYS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def random_boxes(rng, count):
    # Sides from 10 to 150 px, so that all of COCO's area ranges occur.
    lows = rng.uniform(0, 400, (count, 2))
    return np.concatenate([lows, lows + rng.uniform(10, 150, (count, 2))], 1)


def random_images(seed, num_images=4, num_classes=3):
    """Cells, detections near them, false detections and equal scores."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(num_images):
        cells = random_boxes(rng, rng.integers(0, 5))
        near = cells + rng.normal(0, 3, cells.shape)
        bboxes = np.concatenate([near, random_boxes(rng, rng.integers(0, 4))])
        images.append(
            dict(
                gt_bboxes=cells,
                gt_labels=rng.integers(0, num_classes, len(cells)),
                bboxes=bboxes,
                scores=rng.integers(1, 8, len(bboxes)) / 8,
                labels=rng.integers(0, num_classes, len(bboxes)),
                in_unknown_area=np.zeros(len(bboxes), dtype=bool),
            )
        )
    return images


def coco_stats(images, num_classes, crowds=()):
    """The six AP numbers of pycocotools, fed its own way."""

    def xywh(box):
        x1, y1, x2, y2 = map(float, box)
        return [x1, y1, x2 - x1, y2 - y1]

    annotations, detections = [], []
    for image_id, image in enumerate(images):
        for box, label in zip(image['gt_bboxes'], image['gt_labels']):
            annotations.append((image_id, int(label), xywh(box), 0))
        for box, score, label in zip(
            image['bboxes'], image['scores'], image['labels']
        ):
            detections.append(
                dict(
                    image_id=image_id,
                    category_id=int(label),
                    bbox=xywh(box),
                    score=float(score),
                )
            )
    annotations += [
        (image_id, label, xywh(box), 1)
        for image_id, box in crowds
        for label in range(num_classes)
    ]
    gts = COCO()
    gts.dataset = dict(
        images=[dict(id=i) for i in range(len(images))],
        categories=[dict(id=i) for i in range(num_classes)],
        annotations=[
            dict(
                id=index + 1,
                image_id=image_id,
                category_id=label,
                bbox=box,
                area=box[2] * box[3],
                iscrowd=crowd,
            )
            for index, (image_id, label, box, crowd) in enumerate(annotations)
        ],
        info={},
    )
    with contextlib.redirect_stdout(io.StringIO()):
        gts.createIndex()
        evaluator = COCOeval(gts, gts.loadRes(detections), 'bbox')
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats[:6]


def assert_equal_stats(scores, stats):
    for key, expected in zip(KEYS, stats):
        if expected == -1:
            assert math.isnan(scores[key])
        else:
            assert scores[key] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_pycocotools_on_plain_data(seed):
    images = random_images(seed)
    # pycocotools itself can't load an empty result.
    assume(any(len(image['bboxes']) for image in images))
    assert_equal_stats(evaluate_boxes(images, 3), coco_stats(images, 3))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_pycocotools_with_a_crowd_in_every_class(seed):
    images = random_images(seed)
    rng = np.random.default_rng(seed)
    crowds = []
    # A crowd far from all else, wholly around a detection of any class: here
    # COCO's rule for a crowd box and ours, at every threshold, are the same.
    for image_id, image in enumerate(images):
        crowds.append((image_id, (1000, 1000, 1200, 1200)))
        image['bboxes'] = np.concatenate(
            [image['bboxes'], [[1010, 1020, 1110, 1140]]]
        )
        image['scores'] = np.append(image['scores'], rng.uniform())
        image['labels'] = np.append(image['labels'], rng.integers(3))
        image['in_unknown_area'] = np.append(image['in_unknown_area'], True)
    assert_equal_stats(
        evaluate_boxes(images, 3), coco_stats(images, 3, crowds)
    )


def one_image(**changes):
    image = dict(
        gt_bboxes=np.array([[0.0, 0.0, 40.0, 40.0]]),
        gt_labels=np.array([1]),
        bboxes=np.array([[100.0, 0.0, 140.0, 40.0], [0.0, 0.0, 40.0, 40.0]]),
        scores=np.array([0.9, 0.8]),
        labels=np.array([1, 1]),
        in_unknown_area=np.array([False, False]),
    )
    image.update(changes)
    return image


def test_by_hand():
    # The cell comes second, after a false detection: precision 1/2 all over.
    assert evaluate_boxes([one_image()], 2)['mAP'] == pytest.approx(0.5)


def test_a_detection_in_unknown_area_is_no_false_positive():
    image = one_image(in_unknown_area=np.array([True, False]))
    assert evaluate_boxes([image], 2)['mAP'] == pytest.approx(1)


def test_a_match_in_unknown_area_counts():
    image = one_image(in_unknown_area=np.array([True, True]))
    assert evaluate_boxes([image], 2)['mAP'] == pytest.approx(1)


def test_a_detection_in_unknown_area_takes_no_cell():
    # It overlaps the cell at IoU 0.6 only: a true positive up to there, and
    # above neither that nor a false positive.
    image = one_image(
        bboxes=np.array([[0.0, 0.0, 40.0, 24.0], [0.0, 0.0, 40.0, 40.0]]),
        in_unknown_area=np.array([True, False]),
    )
    scores = evaluate_boxes([image], 2)
    assert scores['mAP_50'] == pytest.approx(1)
    assert scores['mAP_75'] == pytest.approx(1)
    image['in_unknown_area'][:] = False
    assert evaluate_boxes([image], 2)['mAP_75'] == pytest.approx(0.5)


def test_the_mean_runs_over_classes_with_cells():
    image = one_image(
        gt_bboxes=np.array([[0.0, 0.0, 40.0, 40.0], [50, 50, 90, 90.0]]),
        gt_labels=np.array([1, 2]),
        in_unknown_area=np.array([True, False]),
    )
    scores = evaluate_boxes([image], 4)
    assert scores['mAP'] == pytest.approx(0.5)
    np.testing.assert_allclose(scores['class_AP'], [np.nan, 1, 0, np.nan])
    np.testing.assert_allclose(scores['class_AP_50'], [np.nan, 1, 0, np.nan])
    np.testing.assert_array_equal(scores['class_num_gts'], [0, 1, 1, 0])


def test_max_dets():
    assert evaluate_boxes([one_image()], 2, max_dets=1)['mAP'] == 0


@pytest.mark.parametrize('images', [[], [None]])
def test_no_cells_at_all(images):
    nothing = one_image(gt_bboxes=np.zeros((0, 4)), gt_labels=np.zeros(0, int))
    scores = evaluate_boxes([nothing for _ in images], 2)
    assert all(math.isnan(scores[key]) for key in KEYS)


def test_no_detections_at_all():
    image = one_image(
        bboxes=np.zeros((0, 4)),
        scores=np.zeros(0),
        labels=np.zeros(0, int),
        in_unknown_area=np.zeros(0, bool),
    )
    assert evaluate_boxes([image], 2)['mAP'] == 0


def test_without_classes():
    # Two classes on one cell: the better one counts, whatever the class.
    image = one_image(
        bboxes=np.array([[0.0, 0, 40, 40], [0, 0, 40, 38], [100, 0, 140, 40]]),
        scores=np.array([0.7, 0.9, 0.8]),
        labels=np.array([1, 0, 1]),
        in_unknown_area=np.array([False, False, False]),
    )
    (agnostic,) = without_classes([image], 0.5)
    assert agnostic['scores'].tolist() == [0.9, 0.8]
    assert agnostic['labels'].tolist() == [0, 0]
    assert evaluate_boxes([agnostic], 1)['mAP_50'] == pytest.approx(1)
    assert evaluate_boxes([image], 2)['mAP_50'] == pytest.approx(0.5)
    image['in_unknown_area'][2] = True
    (agnostic,) = without_classes([image], 0.5)
    assert agnostic['in_unknown_area'].tolist() == [False, True]
