# Copyright (c) mmleuk authors. All rights reserved.
"""Which detection of a dumped result speaks for which cell."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from mmleuk.structures import MISSING, AttributeSchema, match_detections
from mmleuk.structures.known_area import in_unknown_area

from .labelled_cells import split_cells


@dataclass(frozen=True)
class MatchedResults:
    """Detections of many images, held against the labelled cells.

    Ignored cells are in none of the arrays. Rows of detections (n) and cells
    (m) run over all images.

    Args:
        images (list[dict]): One dict of arrays an image, in the order of
            their names and in the form that :func:`evaluate_boxes` takes.
        cell_labels (np.ndarray): True types, int64, shape (m, ).
        cell_codes (np.ndarray): True attribute codes, ``MISSING`` where
            nobody stated one, int64, shape (m, num_attributes).
        cell_images (np.ndarray): Index of the image, int64, shape (m, ).
        scores (np.ndarray): Scores of the detections, shape (n, ).
        labels (np.ndarray): Types they name, int64, shape (n, ).
        codes (np.ndarray, optional): Attribute codes they name, int64, shape
            (n, num_attributes). None if the detector predicts none.
        probs (np.ndarray, optional): Probabilities of all attribute values,
            shape (n, sum of values). None if the detector predicts none.
        det_images (np.ndarray): Index of the image, int64, shape (n, ).
        matches (np.ndarray): Row of the cell that each detection is paired
            with whatever the types, or -1, int64, shape (n, ).
        type_matches (np.ndarray): The same among cells of the named type:
            the detection is right where it isn't -1.
        excused (np.ndarray): Whether a detection lies where the truth isn't
            known, bool, shape (n, ).
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
    excused: np.ndarray

    def judged_types(
        self, score_thr: float = 0.0
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gather the scores whose type is right or wrong.

        A second detection of one cell is wrong. One that matches no cell of
        its type and lies where the truth isn't known is neither.

        Args:
            score_thr (float): Lowest score to judge. Defaults to 0.

        Returns:
            tuple[np.ndarray]: Scores, shape (n, ); whether each is right,
            bool; index of its image, int64.
        """
        right = self.type_matches >= 0
        judged = (right | ~self.excused) & (self.scores >= score_thr)
        return self.scores[judged], right[judged], self.det_images[judged]

    def judged_attribute(
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


def match_results(
    results: Sequence[dict],
    num_classes: int,
    schema: AttributeSchema,
    iou_thr: float = 0.5,
    ignore_iof_thr: float = 0.5,
) -> MatchedResults:
    """Pair detections and labelled cells as :class:`LLDMetric` does.

    Args:
        results (Sequence[dict]): One dict an image: ``name`` (str),
            ``image_shape`` (height, width), ``instances`` and
            ``annotated_regions`` as the dataset holds them, and the arrays
            ``bboxes`` (n, 4), ``scores`` (n, ), ``labels`` (n, ) and, of a
            detector with attributes, ``attribute_labels``
            (n, num_attributes) and ``attribute_probs`` (n, sum of values).
            Boxes are (x1, y1, x2, y2) in pixels of the original image.
        num_classes (int): Number of types.
        schema (AttributeSchema): The attributes.
        iou_thr (float): Smallest IoU of a pair. Defaults to 0.5.
        ignore_iof_thr (float): Share of a detection's area on ignored cells
            and un-annotated area from which it is excused. Defaults to 0.5.

    Returns:
        MatchedResults: All of them, images in the order of their names.

    Raises:
        ValueError: If there are no results, or a label, a score or a number
            of columns doesn't fit the types and attributes.
    """
    if not results:
        raise ValueError('got no images, expected the results of at least one')
    images = []
    for result in sorted(results, key=lambda result: result['name']):
        _check_result(result, num_classes, schema)
        images.append(_judge_image(result, schema, iou_thr, ignore_iof_thr))
    starts = np.cumsum([0] + [len(image['gt_labels']) for image in images])
    rows: Dict[str, np.ndarray] = {}
    for key in ('gt_labels', 'gt_attributes', 'scores', 'labels', 'excused'):
        rows[key] = np.concatenate([image[key] for image in images])
    for key in ('matches', 'type_matches'):
        rows[key] = np.concatenate(
            [
                np.where(image[key] >= 0, image[key] + start, -1)
                for image, start in zip(images, starts)
            ]
        )
    for key in ('attribute_labels', 'attribute_probs'):
        rows[key] = _join_field(images, key)
    counts = [len(image['scores']) for image in images]
    return MatchedResults(
        images=images,
        cell_labels=rows['gt_labels'],
        cell_codes=rows['gt_attributes'],
        cell_images=np.repeat(np.arange(len(images)), np.diff(starts)),
        scores=rows['scores'],
        labels=rows['labels'],
        codes=rows['attribute_labels'],
        probs=rows['attribute_probs'],
        det_images=np.repeat(np.arange(len(images)), counts),
        matches=rows['matches'],
        type_matches=rows['type_matches'],
        excused=rows['excused'],
    )


def _check_result(
    result: dict, num_classes: int, schema: AttributeSchema
) -> None:
    """Raise a ValueError if the predictions of an image are impossible."""
    name, num_dets = result['name'], len(result['bboxes'])
    shapes = dict(
        bboxes=(num_dets, 4),
        scores=(num_dets,),
        labels=(num_dets,),
        attribute_labels=(num_dets, len(schema)),
        attribute_probs=(num_dets, schema.num_values),
    )
    for key, shape in shapes.items():
        if key in result and np.shape(result[key]) != shape:
            raise ValueError(
                f'the {key} predicted for {name} have the shape '
                f'{np.shape(result[key])}, expected {shape}: these results '
                'are of another model, or the config names other attributes'
            )
        if key in result and not np.isfinite(result[key]).all():
            raise ValueError(f'the {key} predicted for {name} are not finite')
    for key, sizes in dict(
        labels=num_classes, attribute_labels=schema.sizes
    ).items():
        codes = np.asarray(result.get(key, ()))
        if codes.size and not np.all((codes >= 0) & (codes < sizes)):
            raise ValueError(
                f'the {key} predicted for {name} lie in [{codes.min()}, '
                f'{codes.max()}], expected numbers from 0 to below {sizes}: '
                'these results are of another model, or the config names '
                'other types or attributes'
            )


def _judge_image(
    result: dict,
    schema: AttributeSchema,
    iou_thr: float,
    ignore_iof_thr: float,
) -> dict:
    """Split the cells into labelled and ignored and pair the former."""
    image = dict(result)
    cells, ignored = split_cells(image.pop('instances'), schema)
    image.update(cells)
    boxes = image['bboxes'], image['scores'], image['gt_bboxes'], iou_thr
    image['matches'] = match_detections(*boxes)
    image['type_matches'] = match_detections(
        *boxes, image['labels'], image['gt_labels']
    )
    image['excused'] = in_unknown_area(
        image['bboxes'],
        ignored,
        image['annotated_regions'],
        image['image_shape'],
        ignore_iof_thr,
    )
    return image


def _join_field(images: List[dict], key: str) -> Optional[np.ndarray]:
    """Join a field that a detector may not predict.

    Args:
        images (list[dict]): The images.
        key (str): Name of the field.

    Returns:
        np.ndarray | None: Its rows, None if no image has it.

    Raises:
        ValueError: If some detections have it and others have not.
    """
    parts = [image[key] for image in images if key in image]
    if not parts:
        return None
    for image in images:
        if key not in image and len(image['bboxes']):
            raise ValueError(
                f'the detections in {image["name"]} have no {key}, though '
                'those in other images have'
            )
    return np.concatenate(parts)
