# Copyright (c) mmleuk authors. All rights reserved.
"""Which labelled cells a detector finds, and how well it places boxes."""

from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps

from .matched_results import MatchedResults


@dataclass(frozen=True)
class CellRecall:
    """Whether and how each labelled cell was found.

    Args:
        found (np.ndarray): Whether a detection matches the cell, whatever its
            type, bool, shape (m, ).
        named (np.ndarray): Whether that detection has the right type, bool,
            shape (m, ).
        ious (np.ndarray): IoU of the two boxes, NaN without a detection,
            float64, shape (m, ).
        at_edge (np.ndarray): Whether the cell lies at an edge of its field,
            which may have cut it, bool, shape (m, ).
    """

    found: np.ndarray
    named: np.ndarray
    ious: np.ndarray
    at_edge: np.ndarray


def recall_cells(
    matched: MatchedResults, score_thr: float, edge: float = 0.01
) -> CellRecall:
    """Look up the detection of each labelled cell.

    Args:
        matched (MatchedResults): The detections and cells.
        score_thr (float): Lowest score of a detection.
        edge (float): Greatest distance of a box at the edge from the edge, as
            a share of the field's shorter side.

    Returns:
        CellRecall: Rows as those of the cells in ``matched``.
    """
    num_cells = len(matched.cell_labels)
    rows = np.flatnonzero(
        (matched.matches >= 0) & (matched.scores >= score_thr)
    )
    cells = matched.matches[rows]
    found = np.zeros(num_cells, dtype=bool)
    found[cells] = True
    named = np.zeros(num_cells, dtype=bool)
    named[cells] = matched.labels[rows] == matched.cell_labels[cells]

    boxes, cell_boxes = (
        np.concatenate([image[key] for image in matched.images]).astype(
            np.float64
        )
        for key in ('bboxes', 'gt_bboxes')
    )
    ious = np.full(num_cells, np.nan)
    ious[cells] = bbox_overlaps(
        torch.from_numpy(boxes[rows]),
        torch.from_numpy(cell_boxes[cells]),
        is_aligned=True,
    ).numpy()

    shapes = np.array([image['image_shape'] for image in matched.images])
    height, width = shapes[matched.cell_images].T
    left, top, right, bottom = cell_boxes.T
    gaps = np.stack([left, top, width - right, height - bottom])
    at_edge = gaps.min(axis=0) <= edge * np.minimum(height, width)
    return CellRecall(found, named, ious, at_edge)
