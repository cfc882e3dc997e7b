# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Any, Optional, Sequence

import numpy as np
import torch
from mmcv.ops import nms
from mmengine.structures import InstanceData


@dataclass(frozen=True)
class Detections:
    """Detections of one image on the host.

    Args:
        boxes (np.ndarray): (x1, y1, x2, y2) in pixels, float64, shape (n, 4).
        scores (np.ndarray): Scores, float32, shape (n, ).
        labels (np.ndarray): Numbers of the types, int64, shape (n, ).
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
        """Take what a detector predicted.

        Boxes without area are no cells and left out.

        Args:
            instances (:obj:`InstanceData`): ``pred_instances``.
            score_thr (float): Least score.
            columns (np.ndarray, optional): Columns to take of the attribute
                probabilities. Defaults to None: no attributes.

        Returns:
            Detections: The detections.

        Raises:
            ValueError: If a score is no number.
        """
        instances = instances.cpu()
        scores = instances.scores.numpy()
        boxes = instances.bboxes.numpy().astype(np.float64)
        if np.isnan(scores).any() or not np.isfinite(boxes).all():
            raise ValueError(
                'the model predicts boxes or scores that are no numbers: its '
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
        """Move all boxes.

        Args:
            x (float): To the right, in pixels.
            y (float): Down.

        Returns:
            Detections: The moved detections.
        """
        boxes = self.boxes + np.array([x, y, x, y])
        return Detections(boxes, self.scores, self.labels, self.probs)

    def suppress(self, iou_thr: float) -> 'Detections':
        """Keep the best of the boxes that are one cell, whatever their types.

        Args:
            iou_thr (float): Least intersection over union of one cell.

        Returns:
            Detections: What is left, the highest score first.
        """
        if not len(self):
            return self
        _, kept = nms(
            torch.from_numpy(self.boxes).float(),
            torch.from_numpy(self.scores),
            iou_thr,
        )
        return self[kept.numpy()]

    @staticmethod
    def concatenate(parts: Sequence['Detections']) -> 'Detections':
        """Join detections.

        Args:
            parts (Sequence[Detections]): At least one, all of one detector.

        Returns:
            Detections: All of them.
        """
        has_probs = parts[0].probs is not None
        return Detections(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.probs for part in parts])
            if has_probs
            else None,
        )
