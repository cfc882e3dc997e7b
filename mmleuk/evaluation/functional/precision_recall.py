# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import List, Sequence

import numpy as np
from sklearn.metrics import precision_recall_curve as sklearn_curve

from mmleuk.structures import match_detections


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision and recall of one type at every score threshold.

    Args:
        recall (np.ndarray): From 0 up, shape (k, ).
        precision (np.ndarray): Shape (k, ).
        thresholds (np.ndarray): Lowest score of the detections at each point,
            infinite at the first, shape (k, ).
        num_cells (int): Labelled cells of the type.
    """

    recall: np.ndarray
    precision: np.ndarray
    thresholds: np.ndarray
    num_cells: int


def precision_recall_curves(
    images: Sequence[dict],
    num_classes: int,
    iou_thr: float = 0.5,
    max_dets: int = 100,
) -> List[PrecisionRecallCurve]:
    """Compute the precision-recall curve of each type.

    Matching and unknown area are those of :func:`evaluate_boxes`, so COCO's
    AP at this IoU is the mean over 101 recalls of the best precision at that
    recall or beyond.

    Args:
        images (Sequence[dict]): As in :func:`evaluate_boxes`.
        num_classes (int): Number of types.
        iou_thr (float): Smallest IoU of a match.
        max_dets (int): Number of detections of a type that count in an image.

    Returns:
        list[PrecisionRecallCurve]: One a type, with the first point alone if
        it has no cell or no detection.
    """
    curves = []
    for label in range(num_classes):
        scores, right, num_cells = [np.zeros(0)], [np.zeros(0, bool)], 0
        for image in images:
            own = np.flatnonzero(image['labels'] == label)
            order = np.argsort(-image['scores'][own], kind='stable')
            own = own[order[:max_dets]]
            cells = image['gt_bboxes'][image['gt_labels'] == label]
            num_cells += len(cells)
            matched = (
                match_detections(
                    image['bboxes'][own], image['scores'][own], cells, iou_thr
                )
                >= 0
            )
            known = matched | ~image['in_unknown_area'][own]
            scores.append(image['scores'][own][known])
            right.append(matched[known])
        curves.append(
            _curve(np.concatenate(scores), np.concatenate(right), num_cells)
        )
    return curves


def _curve(
    scores: np.ndarray, right: np.ndarray, num_cells: int
) -> PrecisionRecallCurve:
    """Compute the curve of one type from detections right or wrong."""
    start = np.zeros(1), np.ones(1), np.full(1, np.inf)
    if not num_cells or not len(scores):
        return PrecisionRecallCurve(*start, num_cells)
    if not right.any():
        # scikit-learn has no recall without a positive.
        thresholds = -np.unique(-scores)
        zeros = np.zeros(len(thresholds))
        recall, precision = zeros, zeros
    else:
        precision, recall, thresholds = sklearn_curve(right, scores)
        # Its recall is a share of the cells that were found at all.
        recall = recall[-2::-1] * right.sum() / num_cells
        precision, thresholds = precision[-2::-1], thresholds[::-1]
    return PrecisionRecallCurve(
        np.concatenate([start[0], recall]),
        np.concatenate([start[1], precision]),
        np.concatenate([start[2], thresholds]),
        num_cells,
    )
