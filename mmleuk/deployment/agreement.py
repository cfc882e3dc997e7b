# Copyright (c) mmleuk authors. All rights reserved.
import math
from dataclasses import dataclass
from typing import List

import torch
from mmengine.structures import InstanceData

from mmleuk.structures import match_detections

# Boxes of one cell by two runtimes are nearly equal; NMS leaves no two cells
# of one type that overlap this much.
_SAME_CELL_IOU = 0.9


@dataclass
class Agreement:
    """Differences between the detections of two runtimes of one detector.

    Cells are paired by type and place. The score of a cell that only one of
    them detects is compared with the threshold, near which rounding decides.

    Args:
        score_thr (float): Score threshold of the detector.

    Attributes:
        num_images (int): Images compared.
        num_cells (int): Paired cells.
        num_unpaired (int): Cells that only one of them detects.
        boxes (float): Largest difference of a coordinate, in pixels.
        scores (float): Largest difference of a score.
        attribute_probs (float): Largest difference of a probability.
        alone (float): Largest excess of the score of an unpaired cell over
            ``score_thr``.
    """

    score_thr: float = 0.0
    num_images: int = 0
    num_cells: int = 0
    num_unpaired: int = 0
    boxes: float = 0.0
    scores: float = 0.0
    attribute_probs: float = 0.0
    alone: float = 0.0

    def add(self, first: InstanceData, second: InstanceData) -> None:
        """Compare the cells of one image, which have the same fields."""
        first, second = first.cpu(), second.cpu()
        pairs = torch.from_numpy(
            match_detections(
                first.bboxes.numpy(),
                first.scores.numpy(),
                second.bboxes.numpy(),
                _SAME_CELL_IOU,
                first.labels.numpy(),
                second.labels.numpy(),
            )
        )
        is_paired = pairs >= 0
        pairs = pairs[is_paired]
        is_alone = torch.ones(len(second), dtype=torch.bool)
        is_alone[pairs] = False
        self.num_images += 1
        self.num_cells += len(pairs)
        for alone in (first[~is_paired], second[is_alone]):
            self.num_unpaired += len(alone)
            if len(alone):
                excess = float(alone.scores.max()) - self.score_thr
                self.alone = max(self.alone, excess)
        if not len(pairs):
            return
        one, other = first[is_paired], second[pairs]
        names = dict(boxes='bboxes', scores='scores')
        if 'attribute_probs' in first:
            names['attribute_probs'] = 'attribute_probs'
        for name, field in names.items():
            difference = float((one[field] - other[field]).abs().max())
            if math.isnan(difference):
                difference = math.inf
            setattr(self, name, max(getattr(self, name), difference))

    def violations(self, box_tol: float, score_tol: float) -> List[str]:
        """List the differences above their tolerances, one sentence each.

        Args:
            box_tol (float): Largest difference of a coordinate, in pixels.
            score_tol (float): Largest difference of a score and of a
                probability.
        """
        limits = dict(
            boxes=box_tol, scores=score_tol, attribute_probs=score_tol
        )
        found = [
            f'{name} differ by {getattr(self, name):.2g}, expected at most '
            f'{limit:g}'
            for name, limit in limits.items()
            if getattr(self, name) > limit
        ]
        if self.alone > score_tol:
            found.append(
                f'{self.num_unpaired} cells were found by one alone, of '
                f'scores up to {self.score_thr + self.alone:.2g}'
            )
        return found

    def __str__(self) -> str:
        return (
            f'{self.num_images} images, {self.num_cells} cells found by both, '
            f'{self.num_unpaired} by one alone. Largest differences: '
            f'{self.boxes:.2g} px of a box, {self.scores:.2g} of a score, '
            f'{self.attribute_probs:.2g} of an attribute probability'
        )
