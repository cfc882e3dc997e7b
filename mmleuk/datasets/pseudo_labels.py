# Copyright (c) mmleuk authors. All rights reserved.
"""Labels for un-annotated area, from the detections of a trained model."""

import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from mmleuk.structures import (
    MISSING,
    AttributeSchema,
    center_in_regions,
    in_unknown_area,
    one_box_per_cell,
)

# Boxes with a shorter side than this many pixels are no cells, as for the
# readers of annotations.
MIN_SIDE = 1.0


def choose_pseudo_cells(
    field: Mapping[str, Any],
    bboxes: Tensor,
    scores: Tensor,
    score_thr: float = 0.85,
    iou_thr: float = 0.5,
) -> Tensor:
    """Choose the detections that become labels of un-annotated cells.

    Chosen are the best boxes of their cells, whatever their classes, outside
    the annotated regions, where labels are complete, and outside ignored
    cells. A labelled cell that reaches out of its region is not labelled
    again.

    Args:
        field (Mapping): Item of :class:`LLDDataset`: ``instances`` and
            ``annotated_regions``.
        bboxes (Tensor): Detected boxes (x1, y1, x2, y2) in pixels of the
            stored image, shape (n, 4).
        scores (Tensor): Their scores, shape (n, ).
        score_thr (float): Lowest score of a chosen detection.
        iou_thr (float): IoU from which two boxes are one cell.

    Returns:
        Tensor: Indices of the chosen detections, best first, shape (m, ),
        int64.
    """
    believed = torch.nonzero(scores >= score_thr).flatten()
    regions = field['annotated_regions']
    if regions is None or not len(believed):
        return believed[:0]
    order = one_box_per_cell(
        bboxes[believed].numpy(), scores[believed].numpy(), iou_thr
    )
    chosen = believed[torch.from_numpy(order)]

    instances = field['instances']
    regions, known = (
        bboxes.new_tensor(boxes).reshape(-1, 4)
        for boxes in (regions, [cell['bbox'] for cell in instances])
    )
    annotated = center_in_regions(bboxes[chosen], regions)
    labelled = bbox_overlaps(bboxes[chosen], known) >= iou_thr
    ignored = [cell['bbox'] for cell in instances if cell['ignore_flag']]
    unknown = in_unknown_area(bboxes[chosen].numpy(), ignored)
    is_taken = annotated | labelled.any(dim=1) | torch.from_numpy(unknown)
    return chosen[~is_taken]


def label_fields(
    fields: Sequence[Mapping[str, Any]],
    detections: Mapping[Any, Mapping[str, Any]],
    classes: Sequence[str],
    schema: AttributeSchema,
    root: str = '.',
    score_thr: float = 0.85,
    iou_thr: float = 0.5,
) -> Dict[str, list]:
    """Label sparsely annotated fields in full.

    What was labelled stays, ignored cells included. A detection that
    :func:`choose_pseudo_cells` chooses becomes a cell of the class and with
    the attribute codes that the model predicts, except for attributes that
    no labelled cell states: what a model says of these it has not learned.

    Args:
        fields (Sequence[Mapping]): Items of :class:`LLDDataset` (``img_id``,
            ``img_path``, ``width``, ``height``, ``instances`` and
            ``annotated_regions``).
        detections (Mapping): By ``img_id``: ``bboxes`` (n, 4) as (x1, y1, x2,
            y2) in pixels of the stored image, ``scores`` (n, ), ``labels``
            (n, ) and, of models with attributes, ``attribute_labels`` (n, k),
            as arrays or tensors.
        classes (Sequence[str]): Class names in the order of the labels.
        schema (AttributeSchema): The k attributes.
        root (str): Folder that the file names are relative to. Defaults to
            '.'.
        score_thr (float): See :func:`choose_pseudo_cells`. Defaults to 0.85.
        iou_thr (float): See :func:`choose_pseudo_cells`. Defaults to 0.5.

    Returns:
        dict: Annotations in LLD's JSON layout without ``annotated_regions``,
        so that all that is not labelled is background. Cells that were not
        labelled before have their ``score``.

    Raises:
        ValueError: If a field has no detections (none at all is an empty
            array), or attributes don't fit the schema.
    """
    taught = np.array(
        [
            instance['attributes']
            for field in fields
            for instance in field['instances']
            if not instance['ignore_flag']
        ]
    ).reshape(-1, len(schema))
    taught = (taught != MISSING).any(axis=0)

    images: List[dict] = []
    annotations: List[dict] = []
    for field in fields:
        found = detections.get(field['img_id'])
        if found is None:
            raise ValueError(
                f'there are no detections of {field["img_path"]} (img_id '
                f'{field["img_id"]!r}), expected some for each of '
                f'{len(fields)} fields: run the model over all of them'
            )
        width, height = field['width'], field['height']
        images.append(
            dict(
                id=field['img_id'],
                file_name=osp.relpath(field['img_path'], root),
                width=width,
                height=height,
            )
        )
        cells = [
            _cell(
                instance['bbox'],
                instance['bbox_label'],
                instance['attributes'],
                schema,
                ignored=bool(instance['ignore_flag']),
            )
            for instance in field['instances']
        ]
        cells += _pseudo_cells(
            field, found, schema, taught, score_thr, iou_thr
        )
        for cell in cells:
            annotations.append(
                dict(id=len(annotations), image_id=field['img_id'], **cell)
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(classes)]
    return dict(images=images, annotations=annotations, categories=categories)


def _pseudo_cells(
    field: Mapping[str, Any],
    found: Mapping[str, Any],
    schema: AttributeSchema,
    taught: np.ndarray,
    score_thr: float,
    iou_thr: float,
) -> List[dict]:
    """Turn the detections of one field into annotations.

    Args:
        field (Mapping): Item of :class:`LLDDataset`.
        found (Mapping): Its detections.
        schema (AttributeSchema): The k attributes.
        taught (np.ndarray): Attributes to take over, shape (k, ), bool.
        score_thr (float): See :func:`choose_pseudo_cells`.
        iou_thr (float): See :func:`choose_pseudo_cells`.

    Returns:
        list[dict]: One annotation a cell, without ids.
    """
    bboxes = torch.as_tensor(found['bboxes']).float().reshape(-1, 4)
    scores = torch.as_tensor(found['scores']).float()
    size = bboxes.new_tensor([field['width'], field['height']]).repeat(2)
    bboxes = torch.minimum(bboxes.clamp(min=0), size)
    large = (bboxes[:, 2:] - bboxes[:, :2]).amin(dim=1) >= MIN_SIDE
    codes = np.full((len(bboxes), len(schema)), MISSING)
    if 'attribute_labels' in found:
        predicted = np.asarray(found['attribute_labels'])
        if predicted.shape != codes.shape:
            raise ValueError(
                f'the attribute_labels of {field["img_path"]} have the shape '
                f'{predicted.shape}, expected {codes.shape}: the attributes '
                'of the model and of the dataset differ'
            )
        codes[:, taught] = predicted[:, taught]
    chosen = choose_pseudo_cells(
        field, bboxes, scores.masked_fill(~large, -1), score_thr, iou_thr
    )
    return [
        _cell(
            bboxes[index].tolist(),
            int(found['labels'][index]),
            codes[index].tolist(),
            schema,
            score=float(scores[index]),
        )
        for index in chosen.tolist()
    ]


def _cell(
    bbox: Sequence[float],
    label: int,
    codes: Sequence[int],
    schema: AttributeSchema,
    ignored: bool = False,
    score: Optional[float] = None,
) -> dict:
    """Write one annotation, without ids.

    Args:
        bbox (Sequence[float]): (x1, y1, x2, y2) in pixels.
        label (int): Label of its class.
        codes (Sequence[int]): One code per attribute; a missing one is left
            out.
        schema (AttributeSchema): The attributes.
        ignored (bool): Whether it is neither object nor background. Defaults
            to False.
        score (float, optional): Score of a pseudo cell. Defaults to None.

    Returns:
        dict: The annotation.
    """
    x1, y1, x2, y2 = bbox
    annotation = dict(
        category_id=label,
        bbox=[x1, y1, x2 - x1, y2 - y1],
        area=(x2 - x1) * (y2 - y1),
        iscrowd=int(ignored),
    )
    for attribute, code in zip(schema, codes):
        if code != MISSING:
            annotation[attribute.json_key] = code
    if score is not None:
        annotation['score'] = score
    return annotation
