# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Optional, Sequence

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.models.utils import attribute_fields

# A blood film has no upper side. Each is whether to transpose, to mirror
# left and right, and to mirror up and down: first those that differ most.
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
# From this IoU on, boxes of several views are looks at one cell: less than
# they differ by, more than neighbouring cells overlap.
IOU_THR = 0.6


def predict_in_orientations(
    detector: BaseDetector,
    inputs: Tensor,
    data_samples: SampleList,
    num_orientations: int,
    attribute_sizes: Sequence[int],
) -> SampleList:
    """Detect cells in images that are turned and mirrored, and average.

    What a cell is does not depend on how the slide lies, while a detector's
    errors do: the mean of the boxes, the scores and the attribute
    probabilities of several looks is nearer to the truth than any of them.

    Args:
        detector (BaseDetector): The detector, in evaluation mode.
        inputs (Tensor): Preprocessed images, shape (N, C, H, W).
        data_samples (list[:obj:`DetDataSample`]): Their samples, with
            'img_shape' and 'scale_factor'.
        num_orientations (int): Looks at each image, 1 to 8.
        attribute_sizes (Sequence[int]): Number of values of each attribute.

    Returns:
        list[:obj:`DetDataSample`]: The same samples, with ``pred_instances``
        in pixels of the stored image, on the CPU. All classes of one cell
        have one box.
    """
    views = [
        _look(detector, inputs, data_samples, *orientation)
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


def _look(
    detector: BaseDetector,
    inputs: Tensor,
    data_samples: SampleList,
    transpose: bool,
    flip_x: bool,
    flip_y: bool,
) -> List[InstanceData]:
    """Detect cells in one orientation.

    Args:
        detector (BaseDetector): The detector.
        inputs (Tensor): Images, shape (N, C, H, W).
        data_samples (list[:obj:`DetDataSample`]): Their samples.
        transpose (bool): Whether to swap rows and columns, first.
        flip_x (bool): Whether to mirror left and right, then.
        flip_y (bool): Whether to mirror up and down.

    Returns:
        list[:obj:`InstanceData`]: Detections of each image in the pixels of
        ``inputs``, on the CPU.
    """
    view = inputs.transpose(2, 3) if transpose else inputs
    flipped = [3] * flip_x + [2] * flip_y
    view = view.flip(flipped) if flipped else view
    shape = tuple(view.shape[2:])
    # Padding is at another side now, so that all of the view is the image.
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
    """Average the detections of several looks at one image.

    Detections that overlap are looks at one cell, the best first, whatever
    their classes. Its box and attributes are the mean of those of the best
    detection of each look, weighted by score. The score of a class is the mean
    of its best scores in all looks, 0 where one has none: what is seen in few
    is worth little.

    Args:
        views (Sequence[:obj:`InstanceData`]): Detections of each look, all in
            the same pixels.
        attribute_sizes (Sequence[int]): Number of values of each attribute.

    Returns:
        :obj:`InstanceData`: ``bboxes``, ``labels``, ``scores`` and, where the
        looks have ``attribute_probs``, the attribute fields: a row for each
        class of each cell.
    """
    boxes = torch.cat([view.bboxes for view in views])
    scores = torch.cat([view.scores.float() for view in views])
    labels = torch.cat([view.labels for view in views])
    probs: Optional[Tensor] = None
    if all('attribute_probs' in view for view in views):
        probs = torch.cat([view.attribute_probs.float() for view in views])
    looks = torch.cat(
        [torch.full((len(v),), number) for number, v in enumerate(views)]
    )
    ious = bbox_overlaps(boxes, boxes)
    rows: List[List[Tensor]] = [[], [], [], []]
    is_free = torch.ones_like(scores, dtype=torch.bool)
    for index in scores.argsort(descending=True, stable=True):
        if not is_free[index]:
            continue
        members = (is_free & (ious[index] >= IOU_THR)).nonzero()[:, 0]
        # One that is degenerate overlaps nothing, itself included.
        members = members if len(members) else index[None]
        is_free[members] = False
        # Best first, so that the first of a look is its best.
        members = members[scores[members].argsort(descending=True)]
        best = torch.stack(
            [members[looks[members] == k][0] for k in looks[members].unique()]
        )
        weights = scores[best] / scores[best].sum().clamp(min=1e-12)
        classes = labels[members].unique()
        by_look = torch.zeros(len(views), len(classes))
        for member in members.flip(0):
            column = (classes == labels[member]).nonzero()[0, 0]
            # Ascending: the best is written last.
            by_look[looks[member], column] = scores[member]
        rows[0].append((weights @ boxes[best]).expand(len(classes), -1))
        rows[1].append(classes)
        rows[2].append(by_look.mean(dim=0))
        if probs is not None:
            rows[3].append((weights @ probs[best]).expand(len(classes), -1))
    merged = InstanceData(
        bboxes=torch.cat([boxes[:0], *rows[0]]),
        labels=torch.cat([labels[:0], *rows[1]]),
        scores=torch.cat([scores[:0], *rows[2]]),
    )
    if probs is not None:
        fields = attribute_fields(
            torch.cat([probs[:0], *rows[3]]), attribute_sizes
        )
        for name, values in fields.items():
            merged[name] = values
    return merged
