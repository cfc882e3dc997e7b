# Copyright (c) mmleuk authors. All rights reserved.
"""How detections are matched to cells.

Which boxes are one cell, which detection matches which labelled cell, and
where the truth is known: metric, drawings, plots, mining and inference all
decide by these functions. Boxes are arrays (x1, y1, x2, y2) on the host; what
a training step needs on its device is in
:mod:`mmleuk.structures.ignored_instances`.
"""

from typing import Optional, Tuple, TypeVar

import numpy as np
import shapely
import torch
from pycocotools import mask as coco_mask
from shapely.geometry.base import BaseGeometry

Array = TypeVar('Array', np.ndarray, torch.Tensor)

# Areas are sums of products of float64 coordinates: a box half covered may
# come out as 0.4999999999999999.
_ROUNDING = 1e-9


def _as_boxes(boxes: np.ndarray) -> np.ndarray:
    """Copy boxes as float64, shape (n, 4)."""
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _pairwise_iou(bboxes: np.ndarray, gt_bboxes: np.ndarray) -> np.ndarray:
    """IoUs, shape (n, m), from the function that COCO's AP uses."""
    bboxes, gt_bboxes = _as_boxes(bboxes), _as_boxes(gt_bboxes)
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
    """Match detections and cells one to one, in the order of the scores.

    Each detection takes the free cell that it overlaps most. Lower scores
    never change what a higher one took, so the matches of the detections
    above any threshold are those that they would get alone.

    Args:
        bboxes (np.ndarray): Detected boxes, shape (n, 4).
        scores (np.ndarray): Their scores, shape (n, ). Equal scores keep
            their order.
        gt_bboxes (np.ndarray): Labelled cells, shape (m, 4).
        iou_thr (float): Smallest IoU of a match.
        labels (np.ndarray, optional): Detected classes, shape (n, ). With
            ``gt_labels``, only detections and cells of one class match.
        gt_labels (np.ndarray, optional): True classes, shape (m, ).

    Returns:
        np.ndarray: Index of the cell of each detection, -1 without one,
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
    """Find the detection that overlaps each cell most, without a threshold.

    One detection may serve several cells. Of equal overlaps, 0 included, the
    best score wins.

    Args:
        bboxes (np.ndarray): Detected boxes, shape (n, 4).
        scores (np.ndarray): Their scores, shape (n, ).
        gt_bboxes (np.ndarray): Labelled cells, shape (m, 4).

    Returns:
        np.ndarray: Index of the detection of each cell, -1 in an image
        without detections, shape (m, ), int64.
    """
    ious = _pairwise_iou(bboxes, gt_bboxes)
    if not len(ious):
        return np.full(ious.shape[1], -1, dtype=np.int64)
    order = np.argsort(-np.asarray(scores), kind='stable')
    return order[ious[order].argmax(axis=0)]


def overlapping_pairs(
    bboxes: np.ndarray,
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the pairs of boxes that share an area.

    Args:
        bboxes (np.ndarray): Boxes, shape (n, 4). The boxes of a whole slide
            are too many for a matrix, so the pairs come from a tree.

    Returns:
        tuple[np.ndarray]: Lower and higher index of each pair, sorted, and
        the shared area in square pixels, each of shape (number of pairs, ).
    """
    bboxes = _as_boxes(bboxes)
    shapes = shapely.box(*bboxes.T)
    first, second = shapely.STRtree(shapes).query(shapes)
    is_pair = first < second
    first, second = first[is_pair], second[is_pair]
    order = np.lexsort((second, first))
    a, b = bboxes[first[order]], bboxes[second[order]]
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    some = shared > 0
    return first[order][some], second[order][some], shared[some]


def keep_best(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Let boxes stand for those that follow, the best box first.

    Args:
        first (np.ndarray): The better box of each pair that is one cell,
            sorted, int64, shape (number of pairs, ).
        second (np.ndarray): The other box, likewise.
        count (int): Number of boxes, which are ordered from best to worst.

    Returns:
        np.ndarray: For each box the index of the box that stands for it, its
        own if it is kept, int64, shape (count, ).
    """
    owners = np.arange(count)
    begins = np.searchsorted(first, np.arange(count + 1))
    for index, (begin, end) in enumerate(zip(begins, begins[1:])):
        if owners[index] == index:
            others = second[begin:end]
            owners[others[owners[others] == others]] = index
    return owners


def group_boxes(
    bboxes: np.ndarray, scores: np.ndarray, iou_thr: float
) -> np.ndarray:
    """Group boxes by cell: the best box stands for all that overlap it.

    This is greedy non-maximum suppression over all classes that also tells
    which box suppressed which.

    Args:
        bboxes (np.ndarray): Boxes, shape (n, 4).
        scores (np.ndarray): Their scores, shape (n, ). Equal scores keep
            their order.
        iou_thr (float): IoU from which two boxes are one cell.

    Returns:
        np.ndarray: For each box the index of the box that stands for its
        cell, its own if it is kept, int64, shape (n, ).
    """
    order = np.argsort(-np.asarray(scores), kind='stable')
    bboxes = _as_boxes(bboxes)[order]
    first, second, shared = overlapping_pairs(bboxes)
    areas = (bboxes[:, 2:] - bboxes[:, :2]).prod(axis=1)
    is_same = shared >= iou_thr * (areas[first] + areas[second] - shared)
    owners = np.empty(len(order), dtype=np.int64)
    kept = keep_best(first[is_same], second[is_same], len(order))
    owners[order] = order[kept]
    return owners


def one_box_per_cell(
    bboxes: np.ndarray, scores: np.ndarray, iou_thr: float
) -> np.ndarray:
    """Choose one box for each cell, whatever the classes.

    Args:
        bboxes (np.ndarray): Boxes, shape (n, 4).
        scores (np.ndarray): Their scores, shape (n, ).
        iou_thr (float): IoU from which two boxes are one cell.

    Returns:
        np.ndarray: Indices of the chosen boxes, best first, int64.
    """
    owners = group_boxes(bboxes, scores, iou_thr)
    kept = np.flatnonzero(owners == np.arange(len(owners)))
    scores = np.asarray(scores)[kept]
    return kept[np.argsort(-scores, kind='stable')]


def center_in_regions(
    bboxes: Array,
    regions: Array,
    border_share: float = 0.0,
    slack: float = 0.0,
) -> Array:
    """Tell which boxes have their centre in a region, border included.

    Args:
        bboxes (np.ndarray | Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        regions (np.ndarray | Tensor): Rectangles, shape (m, 4), of the same
            kind as the boxes.
        border_share (float): Smallest distance of the centre from the
            border, as a share of the box's side.
        slack (float): Pixels by which a centre may lie outside.

    Returns:
        np.ndarray | Tensor: Bool, shape (n, ).
    """
    centers = (bboxes[:, None, :2] + bboxes[:, None, 2:]) / 2
    margin = border_share * (bboxes[:, None, 2:] - bboxes[:, None, :2]) - slack
    low = centers >= regions[:, :2] + margin
    high = centers <= regions[:, 2:] - margin
    return (low & high).all(-1).any(-1)


def _union(rectangles: np.ndarray) -> BaseGeometry:
    """Unite rectangles, of which some may have no area."""
    rectangles = _as_boxes(rectangles)
    has_area = (rectangles[:, :2] < rectangles[:, 2:]).all(axis=1)
    return shapely.union_all(shapely.box(*rectangles[has_area].T))


def _fraction_in(bboxes: np.ndarray, area: BaseGeometry) -> np.ndarray:
    """Share of each box inside an area, 0 for a box without area."""
    fractions = np.zeros(len(bboxes))
    has_area = (bboxes[:, :2] < bboxes[:, 2:]).all(axis=1)
    boxes = shapely.box(*bboxes[has_area].T)
    shapely.prepare(area)
    inside = shapely.area(shapely.intersection(boxes, area))
    fractions[has_area] = inside / shapely.area(boxes)
    return np.clip(fractions, 0, 1)


def covered_fraction(bboxes: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """Measure how much of each box the union of rectangles covers.

    Args:
        bboxes (np.ndarray): Boxes in pixels, shape (n, 4).
        rectangles (np.ndarray): Rectangles in pixels, which may overlap,
            shape (m, 4).

    Returns:
        np.ndarray: Covered share of each box's area in [0, 1], shape (n, ),
        float64; 0 for a box without area.
    """
    return _fraction_in(_as_boxes(bboxes), _union(rectangles))


def in_unknown_area(
    bboxes: np.ndarray,
    ignored_bboxes: np.ndarray,
    annotated_regions: Optional[np.ndarray] = None,
    image_shape: Optional[Tuple[int, int]] = None,
    iof_thr: float = 0.5,
) -> np.ndarray:
    """Tell which detections lie mostly where the truth is not known.

    Unknown is the union of all ignored cells and of everything outside the
    annotated regions. A detection there that matches no labelled cell is
    neither right nor wrong, whatever its class; so match first.

    Args:
        bboxes (np.ndarray): Detected boxes in pixels, shape (n, 4).
        ignored_bboxes (np.ndarray): Ignored cells, or other rectangles in
            which the truth is not known, shape (m, 4).
        annotated_regions (np.ndarray, optional): Rectangles in which the
            labels are complete, shape (r, 4). None: everywhere.
        image_shape (tuple[int], optional): Height and width of the image, at
            whose edge boxes are cut before they are measured. None: uncut.
        iof_thr (float): Smallest share of the box in unknown area.

    Returns:
        np.ndarray: Bool, shape (n, ).
    """
    bboxes = _as_boxes(bboxes)
    if image_shape is not None:
        height, width = image_shape[:2]
        bboxes = np.clip(bboxes, 0, [width, height, width, height])
    if annotated_regions is None:
        unknown = covered_fraction(bboxes, ignored_bboxes)
    else:
        known = _union(annotated_regions).difference(_union(ignored_bboxes))
        unknown = 1 - _fraction_in(bboxes, known)
    has_area = (bboxes[:, :2] < bboxes[:, 2:]).all(axis=1)
    return has_area & (unknown >= iof_thr - _ROUNDING)
