# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import InstanceData

from mmleuk.evaluation.functional import Calibration
from mmleuk.structures import (
    AttributePrediction,
    AttributeSchema,
    CellPrediction,
    Evidence,
    TypeProfile,
)

from .detections import Detections

# Six digits of a probability are more than a float32 network means.
_DIGITS = 6
# A thousandth of a pixel.
_BOX_DIGITS = 3


class CellRecorder:
    """Turns detections into records that name things.

    Args:
        types (Sequence[str]): Names of the cell types, by number.
        schema (AttributeSchema, optional): Attributes of the model. None for
            a detector without attributes.
        calibration (Calibration, optional): What turns scores into
            confidences. None: there are none.
        profile (TypeProfile, optional): What the training data say of types
            and attributes. None: there is no evidence.

    Raises:
        ValueError: If the profile is of other types or values than the model.
    """

    def __init__(
        self,
        types: Sequence[str],
        schema: Optional[AttributeSchema] = None,
        calibration: Optional[Calibration] = None,
        profile: Optional[TypeProfile] = None,
    ) -> None:
        self.types = tuple(types)
        self.schema = schema
        self.calibration = calibration
        self.profile = profile
        self._check_profile()
        # One answer serves all cells of a type with the same values.
        self._explained: Dict[tuple, Tuple[Evidence, ...]] = {}

    def _check_profile(self) -> None:
        if self.profile is None:
            return
        if set(self.types) - set(self.profile.types):
            raise ValueError(
                f'its type profile is of the types {self.profile.types}, '
                f'expected those of the model: {self.types}'
            )
        known = {a.name: a.values for a in self.profile.schema}
        for attribute in self.schema or ():
            values = known.get(attribute.name, attribute.values)
            if set(attribute.values) - set(values):
                raise ValueError(
                    f'{attribute.name} has the values {values} in its type '
                    f'profile, expected those of the model: '
                    f'{attribute.values}'
                )

    def record(self, found: Detections) -> Tuple[CellPrediction, ...]:
        """Record detections.

        Args:
            found (Detections): Detections in pixels of the image.

        Returns:
            tuple[CellPrediction]: The cells, in the same order.

        Raises:
            ValueError: If a type has no name.
        """
        self._check_labels(found)
        confidences = _to_list(
            self.calibration
            and self.calibration.calibrate_scores(found.scores),
            len(found),
        )
        attributes = self._record_attributes(found)
        cells = []
        for index, box in enumerate(found.boxes.tolist()):
            name = self.types[found.labels[index]]
            values = next(attributes)
            bbox = tuple(round(side, _BOX_DIGITS) for side in box)
            if not (bbox[0] < bbox[2] and bbox[1] < bbox[3]):
                # Thinner than can be written: no cell.
                continue
            cells.append(
                CellPrediction(
                    bbox=bbox,
                    type=name,
                    score=_round(found.scores[index]),
                    attributes=values,
                    confidence=confidences[index],
                    evidence=self._explain(name, values),
                )
            )
        return tuple(cells)

    def _check_labels(self, found: Detections) -> None:
        if len(found) and found.labels.max() >= len(self.types):
            raise ValueError(
                f'the model predicts type number {found.labels.max()}, '
                f'expected one of {len(self.types)}: {self.types}. Its config '
                'and its checkpoint are of different data'
            )

    def _record_attributes(
        self, found: Detections
    ) -> Iterator[Dict[str, AttributePrediction]]:
        """Yield the attributes of one cell after the other."""
        if self.schema is None:
            yield from ({} for _ in range(len(found)))
            return
        columns: List[list] = []
        ends = np.cumsum(self.schema.sizes)[:-1]
        parts = np.split(found.probs, ends, axis=1)
        for attribute, probs in zip(self.schema, parts):
            codes = probs.argmax(axis=1)
            rows = np.arange(len(found))
            chances = None
            if self.calibration is not None:
                chances = self.calibration.calibrate_attributes(
                    attribute.name, probs
                )
            # The likeliest value stays the likeliest: a temperature keeps
            # the order.
            confidences = _to_list(
                None if chances is None else chances[rows, codes], len(found)
            )
            columns.append(
                [
                    AttributePrediction(
                        value=attribute.values[code],
                        probability=_round(row[code]),
                        probs=tuple(map(_round, row)),
                        confidence=confidence,
                    )
                    for code, row, confidence in zip(
                        codes.tolist(), probs.tolist(), confidences
                    )
                ]
            )
        for cell in zip(*columns):
            yield dict(zip(self.schema.names, cell))

    def _explain(
        self, name: str, attributes: Dict[str, AttributePrediction]
    ) -> Tuple[Evidence, ...]:
        """Look up how the values speak for the type."""
        if self.profile is None:
            return ()
        values = {key: item.value for key, item in attributes.items()}
        key = (name, *values.values())
        if key not in self._explained:
            self._explained[key] = self.profile.explain(name, values)
        return self._explained[key]


def to_instances(
    cells: Sequence[CellPrediction],
    types: Sequence[str],
    schema: Optional[AttributeSchema],
) -> InstanceData:
    """Turn records into what a visualizer draws.

    Args:
        cells (Sequence[CellPrediction]): The n cells of an image.
        types (Sequence[str]): Names of the types, by number.
        schema (AttributeSchema, optional): Their k attributes.

    Returns:
        :obj:`InstanceData`: ``bboxes`` (n, 4), ``scores`` (n, ), ``labels``
        (n, ) and, with attributes, ``attribute_labels`` and
        ``attribute_scores`` (n, k). Where all are calibrated also
        ``confidences`` (n, ) and ``attribute_confidences`` (n, k).
    """
    numbers = {name: number for number, name in enumerate(types)}
    fields: Dict[str, list] = dict(
        scores=[cell.score for cell in cells],
        confidences=[cell.confidence for cell in cells],
    )
    instances = InstanceData(
        bboxes=torch.tensor([cell.bbox for cell in cells]).reshape(-1, 4),
        labels=torch.tensor(
            [numbers[cell.type] for cell in cells], dtype=torch.long
        ),
    )
    if schema is not None:
        rows = [
            [cell.attributes[name] for name in schema.names] for cell in cells
        ]
        codes = [
            [a.values.index(item.value) for a, item in zip(schema, row)]
            for row in rows
        ]
        instances.attribute_labels = torch.tensor(
            codes, dtype=torch.long
        ).reshape(-1, len(schema))
        fields.update(
            attribute_scores=[[i.probability for i in row] for row in rows],
            attribute_confidences=[
                [i.confidence for i in row] for row in rows
            ],
        )
    for name, values in fields.items():
        array = np.array(values, dtype=np.float32)
        if name.startswith('attribute'):
            array = array.reshape(-1, len(schema))
        # None has become NaN.
        if len(cells) and not np.isnan(array).any():
            instances[name] = torch.from_numpy(array)
    if not len(cells):
        instances.scores = torch.zeros(0)
    return instances


def _round(probability: float) -> float:
    """Round a probability; float32 softmax may end just above 1."""
    return min(1.0, max(0.0, round(float(probability), _DIGITS)))


def _to_list(values: Optional[np.ndarray], length: int) -> list:
    """List confidences, None for each where there are none."""
    if values is None:
        return [None] * length
    return list(map(_round, values.tolist()))
