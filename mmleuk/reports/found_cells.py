# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from mmleuk.structures import CellPrediction, ImagePrediction, group_boxes


@dataclass(frozen=True)
class FoundCell:
    """A detected cell and where it is.

    Args:
        number (int): Index of the cell among those of the patient.
        field_index (int): Index of the field among those of the patient.
        place (int): Position of the cell in the record of its image, from 1.
        cell (CellPrediction): The cell.
        rivals (tuple[CellPrediction]): Boxes of the same cell of lower
            confidence.
    """

    number: int
    field_index: int
    place: int
    cell: CellPrediction
    rivals: Tuple[CellPrediction, ...] = ()

    @property
    def confidence(self) -> float:
        """float: Calibrated confidence, the score where there is none."""
        return confidence_of(self.cell)

    @property
    def surprises(self) -> tuple:
        """tuple[Evidence]: Surprising attributes, the most so first."""
        return tuple(
            sorted(
                (item for item in self.cell.evidence if item.surprising),
                key=lambda item: item.likelihood_ratio,
            )
        )


def confidence_of(cell: CellPrediction) -> float:
    """Calibrated confidence of a cell, the score where there is none."""
    return cell.score if cell.confidence is None else cell.confidence


def merge_duplicate_boxes(
    image: ImagePrediction,
    field_index: int,
    first_number: int,
    same_cell_iou: float,
) -> List[FoundCell]:
    """Number the cells of an image, with one box for each.

    A detector that suppresses within each class may leave boxes of two types
    on one cell, which would count twice. The box of the highest confidence
    stands for the cell, and the others become its rivals.

    Args:
        image (ImagePrediction): The image.
        field_index (int): Index of the field among those of the patient.
        first_number (int): Number of its first cell.
        same_cell_iou (float): IoU from which two boxes are one cell. Above 1
            each box counts.

    Returns:
        list[FoundCell]: The cells in the order of the record.
    """
    cells = image.cells
    owners = group_boxes(
        np.array([cell.bbox for cell in cells]).reshape(-1, 4),
        np.array([confidence_of(cell) for cell in cells]),
        same_cell_iou,
    ).tolist()
    rivals: Dict[int, List[CellPrediction]] = {}
    for index, owner in enumerate(owners):
        if owner != index:
            rivals.setdefault(owner, []).append(cells[index])
    kept = [index for index, owner in enumerate(owners) if owner == index]
    return [
        FoundCell(
            first_number + offset,
            field_index,
            index + 1,
            cells[index],
            tuple(
                sorted(rivals.get(index, ()), key=confidence_of, reverse=True)
            ),
        )
        for offset, index in enumerate(kept)
    ]
