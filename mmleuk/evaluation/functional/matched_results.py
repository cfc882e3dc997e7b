# Copyright (c) mmleuk authors. All rights reserved.
"""Detections of many images, matched to the labelled cells."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from mmleuk.structures import (
    MISSING,
    AttributeSchema,
    in_unknown_area,
    match_detections,
    split_cells,
)

PREDICTED_FIELDS = (
    'bboxes',
    'scores',
    'labels',
    'attribute_labels',
    'attribute_probs',
)


@dataclass(frozen=True)
class MatchedResults:
    """Detections of many images, matched to the labelled cells.

    Ignored cells are in none of the arrays. Rows of detections (n) and cells
    (m) run over all images.

    Args:
        images (list[dict]): One dict of arrays an image, in the order of
            their names and in the form that :func:`evaluate_boxes` takes.
        cell_labels (np.ndarray): True classes, int64, shape (m, ).
        cell_codes (np.ndarray): True attribute codes, ``MISSING`` where
            nobody stated one, int64, shape (m, num_attributes).
        cell_images (np.ndarray): Index of the image, int64, shape (m, ).
        scores (np.ndarray): Scores of the detections, shape (n, ).
        labels (np.ndarray): Detected classes, int64, shape (n, ).
        codes (np.ndarray, optional): Predicted attribute codes, int64, shape
            (n, num_attributes). None if the detector predicts none.
        probs (np.ndarray, optional): Probabilities of all attribute values,
            shape (n, sum of values). None if the detector predicts none.
        det_images (np.ndarray): Index of the image, int64, shape (n, ).
        matches (np.ndarray): Row of the cell that each detection matches,
            whatever the classes, or -1, int64, shape (n, ).
        type_matches (np.ndarray): The same among cells of the detected class:
            the detection is right where it isn't -1.
        in_unknown_area (np.ndarray): Whether a detection lies where the truth
            is not known, bool, shape (n, ).
    """

    images: List[dict]
    cell_labels: np.ndarray
    cell_codes: np.ndarray
    cell_images: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    codes: Optional[np.ndarray]
    probs: Optional[np.ndarray]
    det_images: np.ndarray
    matches: np.ndarray
    type_matches: np.ndarray
    in_unknown_area: np.ndarray

    def right_or_wrong(
        self, score_thr: float = 0.0
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gather the detections whose class is right or wrong.

        A second detection of one cell is wrong. One in unknown area that
        matches no cell of its class is neither, and left out.

        Args:
            score_thr (float): Lowest score.

        Returns:
            tuple[np.ndarray]: Scores, shape (n, ); whether each is right,
            bool; index of its image, int64.
        """
        right = self.type_matches >= 0
        known = right | ~self.in_unknown_area
        rows = known & (self.scores >= score_thr)
        return self.scores[rows], right[rows], self.det_images[rows]

    def stated_attribute(
        self, schema: AttributeSchema, index: int
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gather one attribute of the matched cells whose code is known.

        Args:
            schema (AttributeSchema): The attributes.
            index (int): Which of them.

        Returns:
            tuple[np.ndarray]: Probabilities of its values, shape (k, number
            of values); the true codes, int64, shape (k, ); index of the
            image, int64, shape (k, ).

        Raises:
            ValueError: If the detector predicts no probabilities.
        """
        if self.probs is None:
            raise ValueError(
                'the detections have no attribute_probs, expected those of a '
                'detector with an attribute head'
            )
        start = sum(schema.sizes[:index])
        paired = np.flatnonzero(self.matches >= 0)
        truth = self.cell_codes[self.matches[paired], index]
        known = truth != MISSING
        rows = paired[known]
        columns = slice(start, start + schema.sizes[index])
        return self.probs[rows, columns], truth[known], self.det_images[rows]


def make_result(
    name: str, image_shape: Sequence[int], truth: Mapping, prediction: Mapping
) -> dict:
    """Put prediction and labels of an image into the form for matching.

    Args:
        name (str): Name of the image, unique in the data set.
        image_shape (Sequence[int]): Height and width of the original image.
        truth (Mapping): ``instances`` and ``annotated_regions`` as the
            dataset holds them.
        prediction (Mapping): ``bboxes``, ``scores``, ``labels`` and, of a
            detector with attributes, ``attribute_labels`` and
            ``attribute_probs``, as tensors or arrays.

    Returns:
        dict: An item of what :func:`match_results` takes.

    Raises:
        ValueError: If a prediction is not finite.
    """
    result = dict(
        name=name,
        image_shape=tuple(image_shape[:2]),
        instances=truth['instances'],
        annotated_regions=truth.get('annotated_regions'),
    )
    for key in PREDICTED_FIELDS:
        if key in prediction:
            result[key] = _to_numpy(prediction[key])
    _check_finite(result)
    return result


def _to_numpy(values: Union[torch.Tensor, np.ndarray]) -> np.ndarray:
    """Make an array of a tensor, of half precision a float32 one."""
    # Boxes of MMDetection hold a tensor.
    values = getattr(values, 'tensor', values)
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    if values.dtype in (torch.bfloat16, torch.float16):
        values = values.float()
    return values.numpy(force=True)


def _check_finite(result: dict) -> None:
    """Raise a ValueError if a prediction is not finite."""
    for key in PREDICTED_FIELDS:
        if key in result and not np.isfinite(result[key]).all():
            raise ValueError(
                f'the {key} predicted for {result["name"]} are not finite: '
                'the model has diverged'
            )


def match_results(
    results: Sequence[dict],
    num_classes: int,
    schema: Optional[AttributeSchema],
    iou_thr: float = 0.5,
    ignore_iof_thr: float = 0.5,
) -> MatchedResults:
    """Match detections and labelled cells, one to one in each image.

    Args:
        results (Sequence[dict]): One dict an image: ``name`` (str),
            ``image_shape`` (height, width), ``instances`` and
            ``annotated_regions`` as the dataset holds them, and the arrays
            ``bboxes`` (n, 4), ``scores`` (n, ), ``labels`` (n, ) and, of a
            detector with attributes, ``attribute_labels``
            (n, num_attributes) and ``attribute_probs`` (n, sum of values).
            Boxes are (x1, y1, x2, y2) in pixels of the original image.
        num_classes (int): Number of classes.
        schema (AttributeSchema, optional): The attributes. None: those of
            cells and detections are left out.
        iou_thr (float): Smallest IoU of a match.
        ignore_iof_thr (float): See :func:`in_unknown_area`.

    Returns:
        MatchedResults: All of them, images in the order of their names.

    Raises:
        ValueError: If there are no results, or a label, a score or a number
            of columns doesn't fit the classes and attributes.
    """
    if not results:
        raise ValueError('got no images, expected the results of at least one')
    # The order of equal scores must not depend on how images were spread over
    # processes.
    images = [
        _match_image(result, num_classes, schema, iou_thr, ignore_iof_thr)
        for result in sorted(results, key=lambda result: result['name'])
    ]
    starts = np.cumsum([0] + [len(image['gt_labels']) for image in images])
    matches, type_matches = (
        np.concatenate(
            [
                np.where(image[key] >= 0, image[key] + start, -1)
                for image, start in zip(images, starts)
            ]
        )
        for key in ('matches', 'type_matches')
    )
    counts = [len(image['scores']) for image in images]
    return MatchedResults(
        images=images,
        cell_labels=_join(images, 'gt_labels'),
        cell_codes=_join(images, 'gt_attributes'),
        cell_images=np.repeat(np.arange(len(images)), np.diff(starts)),
        scores=_join(images, 'scores'),
        labels=_join(images, 'labels'),
        codes=_join(images, 'attribute_labels') if schema else None,
        probs=_join(images, 'attribute_probs') if schema else None,
        det_images=np.repeat(np.arange(len(images)), counts),
        matches=matches,
        type_matches=type_matches,
        in_unknown_area=_join(images, 'in_unknown_area'),
    )


def _check_labels(
    image: dict, num_classes: int, schema: Optional[AttributeSchema]
) -> None:
    """Raise a ValueError if the arrays of an image are impossible."""
    name, num_dets = image['name'], len(image['bboxes'])
    shapes = dict(bboxes=(num_dets, 4), scores=(num_dets,), labels=(num_dets,))
    limits: Dict[str, Any] = dict(labels=num_classes, gt_labels=num_classes)
    if schema is not None:
        shapes['attribute_labels'] = num_dets, len(schema)
        shapes['attribute_probs'] = num_dets, schema.num_values
        limits['attribute_labels'] = schema.sizes
    for key, shape in shapes.items():
        if key in image and np.shape(image[key]) != shape:
            raise ValueError(
                f'the {key} predicted for {name} have the shape '
                f'{np.shape(image[key])}, expected {shape}: these results '
                'are of another model, or the dataset has other attributes'
            )
    _check_finite(image)
    for key, limit in limits.items():
        codes = np.asarray(image.get(key, ()))
        if codes.size and not np.all((codes >= 0) & (codes < limit)):
            source = 'of' if key == 'gt_labels' else 'predicted for'
            raise ValueError(
                f'the {key} {source} {name} lie in [{codes.min()}, '
                f'{codes.max()}], expected numbers from 0 to below {limit}: '
                'these results are of another model, or the dataset has '
                'other classes or attributes'
            )


def _match_image(
    result: dict,
    num_classes: int,
    schema: Optional[AttributeSchema],
    iou_thr: float,
    ignore_iof_thr: float,
) -> dict:
    """Split the cells into labelled and ignored and match the former."""
    image = dict(result)
    cells, ignored = split_cells(image.pop('instances'), schema)
    image.update(cells)
    _check_labels(image, num_classes, schema)
    boxes = image['bboxes'], image['scores'], image['gt_bboxes'], iou_thr
    image['matches'] = match_detections(*boxes)
    image['type_matches'] = match_detections(
        *boxes, image['labels'], image['gt_labels']
    )
    image['in_unknown_area'] = in_unknown_area(
        image['bboxes'],
        ignored,
        image['annotated_regions'],
        image['image_shape'],
        ignore_iof_thr,
    )
    return image


def _join(images: List[dict], key: str) -> Optional[np.ndarray]:
    """Join a field over all images, None if none has it."""
    parts = [image[key] for image in images if key in image]
    for image in images:
        # Without detections a field may be missing.
        if parts and key not in image and len(image['bboxes']):
            raise ValueError(
                f'the detections in {image["name"]} have no {key}, though '
                'those in other images have'
            )
    return np.concatenate(parts) if parts else None
