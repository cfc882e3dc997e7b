# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple

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

# Six digits are more than the precision of a float32 network.
_DIGITS = 6
# A thousandth of a pixel.
_BOX_DIGITS = 3


class CellRecorder:
    """Turns detections into records.

    Args:
        types (Sequence[str]): Names of the cell types, by label.
        schema (AttributeSchema, optional): Attributes of the model. None for
            a detector without attributes.
        calibration (Calibration, optional): Calibration of the scores. None:
            records have no confidences.
        profile (TypeProfile, optional): Profile of the training data. None:
            records have no evidence.

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
        # By type and values, which many cells share.
        self._explained: Dict[tuple, Tuple[Evidence, ...]] = {}

    def _check_profile(self) -> None:
        """Refuse a profile of other types or values."""
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
        """Turn detections into records; boxes without an area are left out.

        Raises:
            ValueError: If a type has no name.
        """
        if len(found) and found.labels.max() >= len(self.types):
            raise ValueError(
                f'the model predicts type number {found.labels.max()}, '
                f'expected one of {len(self.types)}: {self.types}. Its config '
                'and its checkpoint are of different data'
            )
        confidences = _to_list(
            self.calibration
            and self.calibration.calibrate_scores(found.scores),
            len(found),
        )
        cells = []
        for index, (box, values) in enumerate(
            zip(found.boxes.tolist(), self._record_attributes(found))
        ):
            name = self.types[found.labels[index]]
            bbox = tuple(round(side, _BOX_DIGITS) for side in box)
            if not (bbox[0] < bbox[2] and bbox[1] < bbox[3]):
                # No area after rounding.
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

    def _record_attributes(
        self, found: Detections
    ) -> List[Dict[str, AttributePrediction]]:
        """Record the attributes of each cell, by name."""
        records: List[dict] = [{} for _ in range(len(found))]
        if self.schema is None:
            return records
        ends = np.cumsum(self.schema.sizes)[:-1]
        parts = np.split(found.probs, ends, axis=1)
        for attribute, probs in zip(self.schema, parts):
            codes = probs.argmax(axis=1)
            calibrated = None
            if self.calibration is not None:
                calibrated = self.calibration.calibrate_attributes(
                    attribute.name, probs
                )
            if calibrated is not None:
                # A temperature keeps the order of the values.
                calibrated = calibrated[np.arange(len(found)), codes]
            confidences = _to_list(calibrated, len(found))
            for record, code, row, confidence in zip(
                records, codes.tolist(), probs.tolist(), confidences
            ):
                record[attribute.name] = AttributePrediction(
                    value=attribute.values[code],
                    probability=_round(row[code]),
                    probs=tuple(map(_round, row)),
                    confidence=confidence,
                )
        return records

    def _explain(
        self, name: str, attributes: Dict[str, AttributePrediction]
    ) -> Tuple[Evidence, ...]:
        """Evidence for the type, cached by the values."""
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
    """Turn records into instances that a visualizer draws.

    Args:
        cells (Sequence[CellPrediction]): The n cells of an image.
        types (Sequence[str]): Names of the types, by label.
        schema (AttributeSchema, optional): Their k attributes.

    Returns:
        :obj:`InstanceData`: ``bboxes`` (n, 4), ``scores`` (n, ), ``labels``
        (n, ) and, with attributes, ``attribute_labels`` and
        ``attribute_scores`` (n, k). Where all are calibrated also
        ``confidences`` (n, ) and ``attribute_confidences`` (n, k).
    """
    labels = [types.index(cell.type) for cell in cells]
    instances = InstanceData(
        bboxes=torch.tensor([cell.bbox for cell in cells]).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.tensor([cell.score for cell in cells]),
    )
    columns: Dict[str, list] = dict(
        confidences=[cell.confidence for cell in cells]
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
        columns.update(
            attribute_scores=[[i.probability for i in row] for row in rows],
            attribute_confidences=[
                [i.confidence for i in row] for row in rows
            ],
        )
    for name, values in columns.items():
        # None becomes NaN.
        array = np.array(values, dtype=np.float32)
        if len(cells) and not np.isnan(array).any():
            instances[name] = torch.from_numpy(array)
    return instances


def _round(probability: float) -> float:
    """Round a probability; float32 softmax may end just above 1."""
    return min(1.0, max(0.0, round(float(probability), _DIGITS)))


def _to_list(values: Optional[np.ndarray], length: int) -> list:
    """List confidences, None for each where there are none."""
    if values is None:
        return [None] * length
    return list(map(_round, values.tolist()))
