# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Optional, Sequence

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.models.utils import attribute_fields
from mmleuk.structures import group_boxes

# Whether to transpose, to mirror left and right, and to mirror up and down, as
# a blood film has no upper side. Those that differ most come first.
ORIENTATIONS = (
    (False, False, False),
    (False, True, True),
    (False, True, False),
    (False, False, True),
    (True, False, False),
    (True, True, True),
    (True, True, False),
    (True, False, True),
)
# IoU from which boxes of several views are one cell: views differ by less,
# neighbouring cells overlap less.
IOU_THR = 0.6


def predict_in_orientations(
    detector: BaseDetector,
    inputs: Tensor,
    data_samples: SampleList,
    num_orientations: int,
    attribute_sizes: Sequence[int],
) -> SampleList:
    """Detect cells in turned and mirrored images, and average.

    The errors of a detector depend on the orientation, the cells do not: the
    mean of boxes, scores and attribute probabilities is nearer to the truth
    than those of any view.

    Args:
        detector (BaseDetector): The detector, in evaluation mode.
        inputs (Tensor): Preprocessed images, shape (N, C, H, W).
        data_samples (list[:obj:`DetDataSample`]): Their samples, with
            'img_shape' and 'scale_factor'.
        num_orientations (int): Views of each image, 1 to 8.
        attribute_sizes (Sequence[int]): Number of values of each attribute.

    Returns:
        list[:obj:`DetDataSample`]: The same samples, with ``pred_instances``
        in pixels of the stored image, on the CPU. All classes of one cell
        have one box.
    """
    views = [
        _detect_in(detector, inputs, data_samples, *orientation)
        for orientation in ORIENTATIONS[:num_orientations]
    ]
    for number, data_sample in enumerate(data_samples):
        merged = merge_views([v[number] for v in views], attribute_sizes)
        height, width = data_sample.img_shape[:2]
        boxes = merged.bboxes
        boxes[:, 0::2] = boxes[:, 0::2].clamp(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clamp(0, height)
        boxes /= boxes.new_tensor(data_sample.scale_factor).repeat(2)
        data_sample.pred_instances = merged
    return data_samples


def _detect_in(
    detector: BaseDetector,
    inputs: Tensor,
    data_samples: SampleList,
    transpose: bool,
    flip_x: bool,
    flip_y: bool,
) -> List[InstanceData]:
    """Transpose, then flip, detect, and map the boxes back, on the CPU."""
    view = inputs.transpose(2, 3) if transpose else inputs
    flipped = [3] * flip_x + [2] * flip_y
    view = view.flip(flipped) if flipped else view
    shape = tuple(view.shape[2:])
    # Padding is at another side now: take all of the view as the image.
    samples = [
        DetDataSample(
            metainfo=dict(
                data_sample.metainfo,
                img_shape=shape,
                pad_shape=shape,
                batch_input_shape=shape,
            )
        )
        for data_sample in data_samples
    ]
    samples = detector.predict(view.contiguous(), samples, rescale=False)
    found = []
    for sample in samples:
        pred = sample.pred_instances.cpu()
        x1, y1, x2, y2 = get_box_tensor(pred.bboxes).float().unbind(dim=1)
        if flip_x:
            x1, x2 = shape[1] - x2, shape[1] - x1
        if flip_y:
            y1, y2 = shape[0] - y2, shape[0] - y1
        if transpose:
            x1, y1, x2, y2 = y1, x1, y2, x2
        pred.bboxes = torch.stack([x1, y1, x2, y2], dim=1)
        found.append(pred)
    return found


def merge_views(
    views: Sequence[InstanceData], attribute_sizes: Sequence[int]
) -> InstanceData:
    """Average the detections of several views of one image.

    Detections are grouped by cell, whatever their classes. Box and attributes
    of a cell are the means over the best detection of each view, weighted by
    score. The score of a class is the mean of its best scores in all views, 0
    where a view has none.

    Args:
        views (Sequence[:obj:`InstanceData`]): Detections of each view, all in
            the same pixels.
        attribute_sizes (Sequence[int]): Number of values of each attribute.

    Returns:
        :obj:`InstanceData`: ``bboxes``, ``labels``, ``scores`` and, where the
        views have ``attribute_probs``, the attribute fields: a row for each
        class of each cell.
    """
    boxes = torch.cat([view.bboxes for view in views])
    scores = torch.cat([view.scores.float() for view in views])
    labels = torch.cat([view.labels for view in views])
    probs: Optional[Tensor] = None
    if all('attribute_probs' in view for view in views):
        probs = torch.cat([view.attribute_probs.float() for view in views])
    view_ids = torch.cat(
        [torch.full((len(v),), number) for number, v in enumerate(views)]
    )
    owners = torch.from_numpy(
        group_boxes(boxes.numpy(), scores.numpy(), IOU_THR)
    )
    # Cells are numbered from the best to the worst.
    order = scores.argsort(descending=True, stable=True)
    ranks = order.argsort()
    first_ranks, cells = ranks[owners].unique(return_inverse=True)
    # The best box of each cell in each view, shape (cells, views).
    shape = (len(first_ranks), len(views))
    best_ranks = torch.full(shape, len(order))
    best_ranks.view(-1).scatter_reduce_(
        0, cells * len(views) + view_ids, ranks, 'amin'
    )
    is_seen = best_ranks < len(order)
    best = order[best_ranks.clamp(max=len(order) - 1)]
    weights = scores[best] * is_seen
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)

    # A row for each class of each cell.
    num_classes = int(labels.max()) + 1 if len(labels) else 1
    keys, rows = (cells * num_classes + labels).unique(return_inverse=True)
    by_view = torch.zeros(len(keys), len(views))
    by_view.view(-1).scatter_reduce_(
        0, rows * len(views) + view_ids, scores, 'amax'
    )
    cells = keys // num_classes
    merged = InstanceData(
        bboxes=_weighted_means(weights, boxes[best])[cells],
        labels=keys % num_classes,
        scores=by_view.mean(dim=1),
    )
    if probs is not None:
        fields = attribute_fields(
            _weighted_means(weights, probs[best])[cells], attribute_sizes
        )
        for name, values in fields.items():
            merged[name] = values
    return merged


def _weighted_means(weights: Tensor, values: Tensor) -> Tensor:
    """Means (n, c) of values (n, views, c) by weights (n, views)."""
    return (weights[:, None] @ values)[:, 0]
