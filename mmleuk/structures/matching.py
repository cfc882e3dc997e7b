# Copyright (c) mmleuk authors. All rights reserved.
"""Which detection speaks for which labelled cell."""

from typing import Optional

import numpy as np
from pycocotools import mask as coco_mask


def _pairwise_iou(bboxes: np.ndarray, gt_bboxes: np.ndarray) -> np.ndarray:
    """Compute IoUs in float64 with the function that COCO's AP uses.

    Args:
        bboxes (np.ndarray): Boxes (x1, y1, x2, y2), shape (n, 4).
        gt_bboxes (np.ndarray): Boxes (x1, y1, x2, y2), shape (m, 4).

    Returns:
        np.ndarray: Shape (n, m), float64.
    """
    bboxes, gt_bboxes = (
        np.array(boxes, dtype=np.float64).reshape(-1, 4)
        for boxes in (bboxes, gt_bboxes)
    )
    if not len(bboxes) or not len(gt_bboxes):
        return np.zeros((len(bboxes), len(gt_bboxes)))
    bboxes[:, 2:] -= bboxes[:, :2]
    gt_bboxes[:, 2:] -= gt_bboxes[:, :2]
    return coco_mask.iou(bboxes, gt_bboxes, np.zeros(len(gt_bboxes)))


def match_detections(
    bboxes: np.ndarray,
    scores: np.ndarray,
    gt_bboxes: np.ndarray,
    iou_thr: float = 0.5,
    labels: Optional[np.ndarray] = None,
    gt_labels: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Pair detections and cells one to one, the best score choosing first.

    Each detection takes, of the cells still free, the one it overlaps most.
    Since lower scores never change what a higher one took, the pairs of the
    detections above any score are the pairs these would make alone.

    Args:
        bboxes (np.ndarray): Detected boxes (x1, y1, x2, y2), shape (n, 4).
        scores (np.ndarray): Their scores, shape (n, ). Of equal scores the
            first in order goes first.
        gt_bboxes (np.ndarray): Labelled cells, shape (m, 4).
        iou_thr (float): Smallest IoU of a pair.
        labels (np.ndarray, optional): Detected classes, shape (n, ). With
            ``gt_labels``, only a pair of one class can form.
        gt_labels (np.ndarray, optional): True classes, shape (m, ).

    Returns:
        np.ndarray: Index of its cell for each detection, -1 without one,
        shape (n, ), int64.
    """
    ious = _pairwise_iou(bboxes, gt_bboxes)
    if labels is not None and gt_labels is not None:
        ious[np.not_equal.outer(labels, gt_labels)] = -1
    matches = np.full(len(ious), -1, dtype=np.int64)
    if not ious.size:
        return matches
    for index in np.argsort(-np.asarray(scores), kind='stable'):
        best = ious[index].argmax()
        if ious[index, best] >= iou_thr:
            matches[index] = best
            ious[:, best] = -1
    return matches


def best_detections(
    bboxes: np.ndarray, scores: np.ndarray, gt_bboxes: np.ndarray
) -> np.ndarray:
    """Find the detection that overlaps each cell most, however little.

    One detection may serve several cells, and a cell that none touches still
    gets one: of equal overlaps the best score wins.

    Args:
        bboxes (np.ndarray): Detected boxes (x1, y1, x2, y2), shape (n, 4).
        scores (np.ndarray): Their scores, shape (n, ).
        gt_bboxes (np.ndarray): Labelled cells, shape (m, 4).

    Returns:
        np.ndarray: Index of its detection for each cell, -1 where the image
        has none, shape (m, ), int64.
    """
    ious = _pairwise_iou(bboxes, gt_bboxes)
    if not len(ious):
        return np.full(ious.shape[1], -1, dtype=np.int64)
    order = np.argsort(-np.asarray(scores), kind='stable')
    return order[ious[order].argmax(axis=0)]
