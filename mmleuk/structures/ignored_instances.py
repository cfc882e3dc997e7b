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

from typing import Iterator, Optional, Tuple

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

# Label of a rectangle of un-annotated area among the ignored instances.
UNANNOTATED = -1
# Label of a box that may hold a cell.
CANDIDATE = -2

# Pairs of a box and a rectangle that are held at once: it bounds the memory,
# and fits a cache.
_MAX_PAIRS = 1 << 20
# Least area by which an overlap is divided, as in MMDetection.
_MIN_AREA = 1e-6


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
    boxes, rectangles = _prepare(boxes, rectangles, counts)
    # A box without area is measured as a point.
    boxes = torch.cat(
        [boxes[:, :2], torch.maximum(boxes[:, 2:], boxes[:, :2] + 1e-3)], dim=1
    )
    inside = boxes.new_zeros(len(boxes))
    for _, shared in _shared_areas(boxes, rectangles):
        inside += shared.sum(dim=0)
    return (inside / _areas(boxes)).clamp(max=1)


def highest_iof(
    boxes: Tensor,
    cells: Tensor,
    counts: Optional[Tensor] = None,
    of_cell: bool = False,
) -> Tensor:
    """Highest share of each box's area that one cell covers.

    Runs on the device of ``boxes`` without a copy to the host.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        cells (Tensor): Boxes of cells, shape (m, 4).
        counts (Tensor, optional): Which cells count, bool, shape (m, ).
            None: all.
        of_cell (bool): Whether to take the share of the cell's area instead.

    Returns:
        Tensor: Shares, shape (n, ), at least float32; 0 where no cell is.
    """
    boxes, cells = _prepare(boxes, cells, counts)
    highest = boxes.new_zeros(len(boxes))
    for rows, shared in _shared_areas(boxes, cells):
        if of_cell:
            shared /= _areas(cells[rows]).clamp(min=_MIN_AREA)[:, None]
        highest = torch.maximum(highest, shared.amax(dim=0))
    if of_cell:
        return highest
    return highest / _areas(boxes).clamp(min=_MIN_AREA)


def highest_probability(
    boxes: Tensor, candidates: Tensor, probabilities: Tensor, iou_thr: float
) -> Tensor:
    """Highest probability among the candidates that a box overlaps.

    Runs on the device of ``boxes`` without a copy to the host.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        candidates (Tensor): Boxes that may be cells, shape (m, 4).
        probabilities (Tensor): Their presence probabilities, shape (m, ).
        iou_thr (float): IoU from which a box overlaps a candidate.

    Returns:
        Tensor: Probabilities, shape (n, ), 0 where no candidate is.
    """
    counts = probabilities > 0
    boxes, candidates = _prepare(boxes, candidates, counts)
    probabilities = _select(probabilities, counts)
    areas = _areas(boxes)
    highest = probabilities.new_zeros(len(boxes))
    for rows, shared in _shared_areas(boxes, candidates):
        united = areas + _areas(candidates[rows])[:, None] - shared
        ious = shared / united.clamp_(min=_MIN_AREA)
        own = (ious >= iou_thr) * probabilities[rows, None]
        highest = torch.maximum(highest, own.amax(dim=0))
    return highest


def _prepare(
    boxes: Tensor, others: Tensor, counts: Optional[Tensor]
) -> Tuple[Tensor, Tensor]:
    """Give both one precision, at least float32; take others that count."""
    if boxes.dtype in (torch.float16, torch.bfloat16):
        boxes = boxes.float()
    others = others.to(boxes)
    return boxes, others if counts is None else _select(others, counts)


def _select(rows: Tensor, counts: Tensor) -> Tensor:
    """Take the rows that count, first dimension of both.

    The rows that do not count are left out on the host. A device would have
    to be waited for, to know how many remain: there they become zeros, which
    as boxes overlap nothing.
    """
    if not _is_asynchronous(rows.device):
        return rows[counts]
    return rows * counts.view(-1, *[1] * (rows.dim() - 1))


def _is_asynchronous(device: torch.device) -> bool:
    """Whether the host has to wait for values on this device."""
    return device.type != 'cpu'


def _shared_areas(
    boxes: Tensor, others: Tensor
) -> Iterator[Tuple[slice, Tensor]]:
    """Yield some rows (k) of the others, and the areas (k, n) they share."""
    # One row a coordinate: ten times as fast as (n, m, 2) on a CPU.
    x1, y1, x2, y2 = boxes.T.contiguous()
    size = max(1, _MAX_PAIRS // max(1, len(boxes)))
    for start in range(0, len(others), size):
        rows = slice(start, start + size)
        left, top, right, bottom = others[rows].T[..., None]
        width = torch.minimum(x2, right) - torch.maximum(x1, left)
        height = torch.minimum(y2, bottom) - torch.maximum(y1, top)
        yield rows, width.clamp_(min=0) * height.clamp_(min=0)


def _areas(boxes: Tensor) -> Tensor:
    """Area of each box, shape (n, )."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
