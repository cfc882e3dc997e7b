# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Any, Optional, Sequence

import numpy as np
from mmengine.structures import InstanceData

from mmleuk.structures import one_box_per_cell


@dataclass(frozen=True)
class Detections:
    """Detections of one image on the host.

    Args:
        boxes (np.ndarray): (x1, y1, x2, y2) in pixels, float64, shape (n, 4).
        scores (np.ndarray): Scores, float32, shape (n, ).
        labels (np.ndarray): Classes, int64, shape (n, ).
        probs (np.ndarray, optional): Probabilities of all attribute values,
            float32, shape (n, sum of values). None: without attributes.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    probs: Optional[np.ndarray] = None

    @classmethod
    def from_instances(
        cls,
        instances: InstanceData,
        score_thr: float,
        columns: Optional[np.ndarray] = None,
    ) -> 'Detections':
        """Take the predictions of a detector, without boxes of no area.

        Args:
            instances (:obj:`InstanceData`): ``pred_instances``.
            score_thr (float): Lowest score.
            columns (np.ndarray, optional): Columns to take of the attribute
                probabilities. None: no attributes.

        Returns:
            Detections: The detections.

        Raises:
            ValueError: If a box or score is not finite.
        """
        instances = instances.cpu()
        scores = instances.scores.numpy()
        boxes = instances.bboxes.numpy().astype(np.float64)
        if np.isnan(scores).any() or not np.isfinite(boxes).all():
            raise ValueError(
                'the model predicts boxes or scores that are not finite: its '
                'training has diverged, or its weights are broken'
            )
        has_area = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
        found = cls(
            boxes,
            scores,
            instances.labels.numpy(),
            None
            if columns is None
            else instances.attribute_probs.numpy()[:, columns],
        )
        return found[has_area & (scores >= score_thr)]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> 'Detections':
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.labels[index],
            None if self.probs is None else self.probs[index],
        )

    def shift(self, x: float, y: float) -> 'Detections':
        """Move all boxes by x and y pixels, to the right and down."""
        boxes = self.boxes + np.array([x, y, x, y])
        return Detections(boxes, self.scores, self.labels, self.probs)

    def suppress(self, iou_thr: float) -> 'Detections':
        """Keep the best box of each cell, the highest score first.

        Two boxes of an IoU from ``iou_thr`` on are one cell, whatever their
        classes.
        """
        return self[one_box_per_cell(self.boxes, self.scores, iou_thr)]

    @staticmethod
    def concatenate(parts: Sequence['Detections']) -> 'Detections':
        """Join the detections of one detector, of at least one part."""
        fields = [
            (part.boxes, part.scores, part.labels, part.probs)
            for part in parts
        ]
        return Detections(
            *(
                None if values[0] is None else np.concatenate(values)
                for values in zip(*fields)
            )
        )
