# Copyright (c) mmleuk authors. All rights reserved.
"""What the ignored instances of an image mean, and how boxes overlap them.

``data_sample.ignored_instances`` holds boxes of three kinds, told apart by
their ``labels``: cells that count neither as found nor as missed
(``iscrowd``), with their class label; the rectangles that make up the
un-annotated area, with the label :data:`UNANNOTATED`; and, where cells are
mined, boxes that may hold a cell, with the label :data:`CANDIDATE`.

Mining also gives a field ``chances``, shape (n, ), float in [0, 1]: for a
candidate the chance that a cell is there; for a rectangle the chance that a
prior in it hides a cell that is no candidate. Without the field nothing is
known of the un-annotated area.
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

# Greatest number of pairs of a box and a rectangle that are held at once: it
# bounds the memory, and fits a cache.
_MAX_PAIRS = 1 << 20


def ignored_boxes(
    ignored_instances: Optional[InstanceData],
) -> Tuple[Tensor, Tensor]:
    """Fetch boxes and labels of ignored instances.

    Args:
        ignored_instances (:obj:`InstanceData`, optional): Ignored instances
            of one image. Without the field ``labels`` all of them are cells.

    Returns:
        tuple[Tensor, Tensor]: Boxes (x1, y1, x2, y2), shape (n, 4), and
        labels, shape (n, ), int64.
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
    """Tell ignored cells from un-annotated area.

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

    Runs on the device of ``boxes`` without a copy to the host. Memory is
    bounded by taking the rectangles in chunks.

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
    # A box without area is measured as a point: it must not pass as lying
    # outside of the rectangles that it lies in.
    x2, y2 = torch.maximum(x2, x1 + 1e-3), torch.maximum(y2, y1 + 1e-3)
    inside = torch.zeros_like(x1)
    for chunk in rectangles.split(max(1, _MAX_PAIRS // max(1, len(boxes)))):
        left, top, right, bottom = chunk.T[..., None]
        width = torch.minimum(x2, right) - torch.maximum(x1, left)
        height = torch.minimum(y2, bottom) - torch.maximum(y1, top)
        inside += (width.clamp_(min=0) * height.clamp_(min=0)).sum(dim=0)
    return (inside / ((x2 - x1) * (y2 - y1))).clamp(max=1)


def greatest_chance(
    boxes: Tensor, candidates: Tensor, chances: Tensor, iou_thr: float
) -> Tensor:
    """Greatest chance among the candidates that a box overlaps.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        candidates (Tensor): Boxes that may hold a cell, shape (m, 4).
        chances (Tensor): The chance of each, shape (m, ). 0 takes one out.
        iou_thr (float): Least IoU of a box and a candidate that it overlaps.

    Returns:
        Tensor: Chances in [0, 1], shape (n, ), 0 where none is overlapped.
    """
    greatest = chances.new_zeros(len(boxes))
    size = max(1, _MAX_PAIRS // max(1, len(boxes)))
    for some, their_chances in zip(
        candidates.split(size), chances.split(size)
    ):
        overlapped = bbox_overlaps(boxes.float(), some.float()) >= iou_thr
        greatest = torch.maximum(
            greatest, (overlapped * their_chances).amax(dim=1)
        )
    return greatest
