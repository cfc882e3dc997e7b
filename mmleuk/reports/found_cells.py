# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from mmleuk.structures import CellPrediction, ImagePrediction


@dataclass(frozen=True)
class FoundCell:
    """A cell and where it was found.

    Args:
        number (int): Of the cell among those of the patient, from 0.
        field_index (int): Of the field among those of the patient, from 0.
        place (int): Of the cell in the record of its image, from 1.
        cell (CellPrediction): The cell.
        rivals (tuple[CellPrediction]): Other names of the same cell, which
            the model was less sure of.
    """

    number: int
    field_index: int
    place: int
    cell: CellPrediction
    rivals: Tuple[CellPrediction, ...] = ()

    @property
    def certainty(self) -> float:
        """float: Calibrated confidence, the score where there is none."""
        return certainty_of(self.cell)

    @property
    def surprises(self) -> tuple:
        """tuple[Evidence]: What is surprising about it, most so first."""
        return tuple(
            sorted(
                (item for item in self.cell.evidence if item.surprising),
                key=lambda item: item.likelihood_ratio,
            )
        )


def certainty_of(cell: CellPrediction) -> float:
    """Say how sure the model is of a cell.

    Args:
        cell (CellPrediction): The cell.

    Returns:
        float: Calibrated confidence, the score where there is none.
    """
    return cell.score if cell.confidence is None else cell.confidence


def find_cells(
    image: ImagePrediction,
    field_index: int,
    first_number: int,
    same_cell_iou: float,
) -> List[FoundCell]:
    """Number the cells of an image, each once.

    A detector that suppresses boxes of one type alone may leave two boxes,
    of two types, on one cell. It would count twice, so the surest box stands
    for the cell and the others become its rivals.

    Args:
        image (ImagePrediction): The image.
        field_index (int): Of the field among those of the patient.
        first_number (int): Number of its first cell.
        same_cell_iou (float): Boxes that overlap by this IoU are taken for
            boxes of one cell. Above 1 each box counts.

    Returns:
        list[FoundCell]: The cells in the order of the record.
    """
    owners = _find_owners(image, same_cell_iou)
    rivals: Dict[int, List[CellPrediction]] = {}
    for index, owner in enumerate(owners):
        if owner != index:
            rivals.setdefault(owner, []).append(image.cells[index])
    kept = [index for index, owner in enumerate(owners) if owner == index]
    return [
        FoundCell(
            first_number + offset,
            field_index,
            index + 1,
            image.cells[index],
            tuple(
                sorted(rivals.get(index, ()), key=certainty_of, reverse=True)
            ),
        )
        for offset, index in enumerate(kept)
    ]


def _find_owners(image: ImagePrediction, same_cell_iou: float) -> List[int]:
    """Index of the box that stands for the cell of each box."""
    owners = list(range(len(image.cells)))
    boxes = np.array([cell.bbox for cell in image.cells]).reshape(-1, 4)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    certainties = np.array([certainty_of(cell) for cell in image.cells])
    order = np.argsort(-certainties, kind='stable')
    is_kept = np.zeros(len(boxes), dtype=bool)
    # Box by box: a whole slide has too many cells for all pairs at once.
    for index in order:
        kept = np.flatnonzero(is_kept)
        sides = np.minimum(boxes[index, 2:], boxes[kept, 2:])
        sides = sides - np.maximum(boxes[index, :2], boxes[kept, :2])
        common = sides.clip(min=0).prod(axis=1)
        ious = common / (areas[index] + areas[kept] - common)
        if len(ious) and ious.max() >= same_cell_iou:
            owners[index] = int(kept[ious.argmax()])
        else:
            is_kept[index] = True
    return owners
