# Copyright (c) mmleuk authors. All rights reserved.
"""What the ignored instances of an image mean, and coverage of boxes by it.

``data_sample.ignored_instances`` holds two kinds of boxes: cells that count
neither as found nor as missed (``iscrowd``), with their class label, and the
rectangles that make up the un-annotated area, with the label
:data:`UNANNOTATED`.
"""

from typing import Optional, Tuple

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

# Label of a rectangle of un-annotated area among the ignored instances.
UNANNOTATED = -1

# Greatest number of pairs of a box and a rectangle that are held at once: it
# bounds the memory, and fits a cache.
_MAX_PAIRS = 1 << 20


def split_ignored(
    ignored_instances: Optional[InstanceData],
) -> Tuple[Tensor, Tensor]:
    """Tell ignored cells from un-annotated area.

    Args:
        ignored_instances (:obj:`InstanceData`, optional): Ignored instances
            of one image. Without the field ``labels`` all of them are cells.

    Returns:
        tuple[Tensor, Tensor]: Boxes (x1, y1, x2, y2) of the ignored cells,
        shape (m, 4), and the disjoint rectangles of un-annotated area, shape
        (n, 4).
    """
    if ignored_instances is None or 'bboxes' not in ignored_instances:
        return torch.zeros((0, 4)), torch.zeros((0, 4))
    boxes = get_box_tensor(ignored_instances.bboxes)
    if 'labels' not in ignored_instances:
        return boxes, boxes[:0]
    unannotated = ignored_instances.labels == UNANNOTATED
    return boxes[~unannotated], boxes[unannotated]


def covered_share(boxes: Tensor, rectangles: Tensor) -> Tensor:
    """Share of each box's area that lies inside disjoint rectangles.

    Runs on the device of ``boxes`` without a copy to the host. Memory is
    bounded by taking the rectangles in chunks.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        rectangles (Tensor): Rectangles (x1, y1, x2, y2) that do not overlap
            each other, shape (m, 4).

    Returns:
        Tensor: Shares in [0, 1], shape (n, ), at least float32.
    """
    if boxes.dtype in (torch.float16, torch.bfloat16):
        boxes = boxes.float()
    rectangles = rectangles.to(boxes)
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
