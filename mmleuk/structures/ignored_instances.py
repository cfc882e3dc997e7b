# Copyright (c) mmleuk authors. All rights reserved.
"""The ignored instances of an image, and how boxes overlap them.

``data_sample.ignored_instances`` holds boxes of three kinds, told apart by
their ``labels``: ignored cells (``iscrowd``) with their class; the rectangles
of the un-annotated area, with the label :data:`UNANNOTATED`; and, with
mining, boxes that may be cells, with the label :data:`CANDIDATE`.

Mining also adds the field ``probs``, float in [0, 1], shape (n, ): the
presence probability of a candidate, or for a rectangle that of a prior which
overlaps no candidate. Without it nothing is known of the un-annotated area.
"""

from typing import Optional, Tuple

import torch
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

# Label of a rectangle of un-annotated area among the ignored instances.
UNANNOTATED = -1
# Label of a box that may hold a cell.
CANDIDATE = -2

# Pairs of a box and a rectangle that are held at once: it bounds the memory,
# and fits a cache.
_MAX_PAIRS = 1 << 20


def ignored_boxes(
    ignored_instances: Optional[InstanceData],
) -> Tuple[Tensor, Tensor]:
    """Boxes (n, 4) and labels (n, ) int64 of the ignored instances.

    Without the field ``labels`` all of them are cells.
    """
    if ignored_instances is None or 'bboxes' not in ignored_instances:
        return torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64)
    boxes = get_box_tensor(ignored_instances.bboxes)
    if 'labels' not in ignored_instances:
        return boxes, boxes.new_zeros(len(boxes), dtype=torch.int64)
    return boxes, ignored_instances.labels


def split_ignored(
    ignored_instances: Optional[InstanceData],
) -> Tuple[Tensor, Tensor]:
    """Split ignored instances into cells and un-annotated area.

    Waits for the device; in training use :func:`ignored_boxes` and a mask.

    Args:
        ignored_instances (:obj:`InstanceData`, optional): Ignored instances
            of one image.

    Returns:
        tuple[Tensor, Tensor]: Boxes (x1, y1, x2, y2) of the ignored cells,
        shape (m, 4), and the disjoint rectangles of un-annotated area, shape
        (n, 4).
    """
    boxes, labels = ignored_boxes(ignored_instances)
    return boxes[labels >= 0], boxes[labels == UNANNOTATED]


def covered_share(
    boxes: Tensor, rectangles: Tensor, counts: Optional[Tensor] = None
) -> Tensor:
    """Share of each box's area that lies inside disjoint rectangles.

    Runs on the device of ``boxes`` without a copy to the host. The form for
    the host, where rectangles may overlap, is :func:`covered_fraction`.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        rectangles (Tensor): Rectangles (x1, y1, x2, y2) that do not overlap
            each other, shape (m, 4).
        counts (Tensor, optional): Which rectangles count, bool, shape (m, ).
            None: all.

    Returns:
        Tensor: Shares in [0, 1], shape (n, ), at least float32.
    """
    if boxes.dtype in (torch.float16, torch.bfloat16):
        boxes = boxes.float()
    rectangles = rectangles.to(boxes)
    if counts is not None:
        rectangles = rectangles * counts[:, None]
    # One row a coordinate: ten times as fast as (n, m, 2) on a CPU.
    x1, y1, x2, y2 = boxes.T.contiguous()
    # A box without area is measured as a point.
    x2, y2 = torch.maximum(x2, x1 + 1e-3), torch.maximum(y2, y1 + 1e-3)
    inside = torch.zeros_like(x1)
    for chunk in rectangles.split(max(1, _MAX_PAIRS // max(1, len(boxes)))):
        left, top, right, bottom = chunk.T[..., None]
        width = torch.minimum(x2, right) - torch.maximum(x1, left)
        height = torch.minimum(y2, bottom) - torch.maximum(y1, top)
        inside += (width.clamp_(min=0) * height.clamp_(min=0)).sum(dim=0)
    return (inside / ((x2 - x1) * (y2 - y1))).clamp(max=1)


def highest_probability(
    boxes: Tensor, candidates: Tensor, probabilities: Tensor, iou_thr: float
) -> Tensor:
    """Highest probability among the candidates that a box overlaps.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        candidates (Tensor): Boxes that may be cells, shape (m, 4).
        probabilities (Tensor): Their presence probabilities, shape (m, ).
        iou_thr (float): IoU from which a box overlaps a candidate.

    Returns:
        Tensor: Probabilities, shape (n, ), 0 where no candidate is.
    """
    highest = probabilities.new_zeros(len(boxes))
    size = max(1, _MAX_PAIRS // max(1, len(boxes)))
    for some, own in zip(candidates.split(size), probabilities.split(size)):
        overlapped = bbox_overlaps(boxes.float(), some.float()) >= iou_thr
        highest = torch.maximum(highest, (overlapped * own).amax(dim=1))
    return highest
