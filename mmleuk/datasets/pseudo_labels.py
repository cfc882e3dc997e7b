# Copyright (c) mmleuk authors. All rights reserved.
"""Labels for un-annotated area, from the detections of a trained model."""

import os.path as osp
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from mmleuk.io.repair import MIN_SIDE
from mmleuk.io.writers.json_writers import make_lld_json
from mmleuk.structures import (
    MISSING,
    AttributeSchema,
    center_in_regions,
    in_unknown_area,
    one_box_per_cell,
)
from mmleuk.structures.record import CellRecord, FieldRecord, normalise_name


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
    confident = torch.nonzero(scores >= score_thr).flatten()
    regions = field['annotated_regions']
    if regions is None or not len(confident):
        return confident[:0]
    order = one_box_per_cell(
        bboxes[confident].numpy(), scores[confident].numpy(), iou_thr
    )
    chosen = confident[torch.from_numpy(order)]

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

    Labelled cells stay, ignored ones included. A detection that
    :func:`choose_pseudo_cells` chooses becomes a cell of the predicted class,
    with the predicted codes of those attributes that the labels state at
    least once: the model has learned no others.

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
        root (str): Folder that the file names are relative to.
        score_thr (float): See :func:`choose_pseudo_cells`.
        iou_thr (float): See :func:`choose_pseudo_cells`.

    Returns:
        dict: Annotations in LLD's JSON layout without ``annotated_regions``,
        so that all that is not labelled is background. Cells that were not
        labelled before have their ``score``.

    Raises:
        ValueError: If a field has no detections (none at all is an empty
            array), or attributes don't fit the schema.
    """
    stated = np.array(
        [
            instance['attributes']
            for field in fields
            for instance in field['instances']
            if not instance['ignore_flag']
        ]
    ).reshape(-1, len(schema))
    trained = (stated != MISSING).any(axis=0)

    records: List[FieldRecord] = []
    for field in fields:
        found = detections.get(field['img_id'])
        if found is None:
            raise ValueError(
                f'there are no detections of {field["img_path"]} (img_id '
                f'{field["img_id"]!r}), expected some for each of '
                f'{len(fields)} fields: run the model over all of them'
            )
        cells = [
            CellRecord(
                tuple(instance['bbox']),
                classes[instance['bbox_label']],
                tuple(instance['attributes']),
                bool(instance['ignore_flag']),
            )
            for instance in field['instances']
        ]
        cells += _pseudo_cells(
            field, found, classes, schema, trained, score_thr, iou_thr
        )
        records.append(
            FieldRecord(
                osp.relpath(field['img_path'], root),
                field['width'],
                field['height'],
                tuple(cells),
                image_id=field['img_id'],
            )
        )
    return make_lld_json(records, schema, classes, state_missing=False)


def _pseudo_cells(
    field: Mapping[str, Any],
    found: Mapping[str, Any],
    classes: Sequence[str],
    schema: AttributeSchema,
    trained: np.ndarray,
    score_thr: float,
    iou_thr: float,
) -> List[CellRecord]:
    """Make cells of the detections of one field that are chosen."""
    bboxes = torch.as_tensor(found['bboxes']).float().reshape(-1, 4)
    scores = torch.as_tensor(found['scores']).float()
    size = bboxes.new_tensor([field['width'], field['height']]).repeat(2)
    bboxes = torch.minimum(bboxes.clamp(min=0), size)
    large = (bboxes[:, 2:] - bboxes[:, :2]).amin(dim=1) >= MIN_SIDE
    codes = np.full((len(bboxes), len(trained)), MISSING)
    if 'attribute_labels' in found:
        predicted = np.asarray(found['attribute_labels'])
        if predicted.shape != codes.shape:
            raise ValueError(
                f'the attribute_labels of {field["img_path"]} have the shape '
                f'{predicted.shape}, expected {codes.shape}: the attributes '
                'of the model and of the dataset differ'
            )
        codes[:, trained] = predicted[:, trained]
    chosen = choose_pseudo_cells(
        field, bboxes, scores.masked_fill(~large, -1), score_thr, iou_thr
    )
    cells = []
    for index in chosen.tolist():
        name = classes[int(found['labels'][index])]
        cells.append(
            CellRecord(
                tuple(bboxes[index].tolist()),
                name,
                schema.clean(codes[index].tolist(), normalise_name(name)),
                extra=dict(score=float(scores[index])),
            )
        )
    return cells
