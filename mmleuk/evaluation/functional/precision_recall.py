# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import List, Sequence

import numpy as np

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
    order = np.argsort(-scores, kind='stable')
    scores, num_right = scores[order], np.cumsum(right[order])
    # Equal scores exist together; without a cell there is no recall.
    last = np.append(scores[1:] < scores[:-1], True)[: len(scores)]
    points = np.flatnonzero(last & (num_cells > 0))
    return PrecisionRecallCurve(
        np.concatenate([[0.0], num_right[points] / max(1, num_cells)]),
        np.concatenate([[1.0], num_right[points] / (points + 1)]),
        np.concatenate([[np.inf], scores[points]]),
        num_cells,
    )
