# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Dict, List, Tuple

from .found_cells import FoundCell
from .top_k import TopK


@dataclass(frozen=True)
class GalleryRow:
    """Cells of a type shown side by side.

    Args:
        kind (str): ``'all'``, ``'typical'`` or ``'doubtful'``.
        cells (tuple[FoundCell]): The cells.
    """

    kind: str
    cells: Tuple[FoundCell, ...]


class Gallery:
    """Picks the most typical and the most doubtful cells of each type.

    Typical are those of highest certainty without a surprising attribute.
    Doubtful are those with surprising attributes, up to half of the row, and
    those of lowest certainty. Of a type with no more cells than fit in a row
    all are shown.

    Args:
        capacity (int): Most cells in a row.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._seen: Dict[str, int] = {}
        self._sure: Dict[str, TopK] = {}
        self._unsure: Dict[str, TopK] = {}
        self._surprising: Dict[str, TopK] = {}

    def add(self, found: FoundCell) -> None:
        """Offer a cell.

        Args:
            found (FoundCell): The cell.
        """
        kind = found.cell.type
        if kind not in self._seen:
            self._seen[kind] = 0
            self._sure[kind] = TopK(self.capacity)
            # Some of the least certain may be shown as surprising.
            self._unsure[kind] = TopK(2 * self.capacity)
            self._surprising[kind] = TopK(self.capacity)
        self._seen[kind] += 1
        self._unsure[kind].add((-found.confidence,), found)
        surprises = found.surprises
        if surprises:
            rank = (len(surprises), -surprises[0].likelihood_ratio)
            self._surprising[kind].add(rank, found)
        else:
            self._sure[kind].add((found.confidence,), found)

    def rows(self, cell_type: str) -> List[GalleryRow]:
        """Pick the cells of a type.

        Args:
            cell_type (str): The type.

        Returns:
            list[GalleryRow]: The rows, none empty.
        """
        if not self.capacity or cell_type not in self._seen:
            return []
        unsure = list(self._unsure[cell_type])
        if self._seen[cell_type] <= self.capacity:
            return [GalleryRow('all', tuple(reversed(unsure)))]
        typical = list(self._sure[cell_type])
        doubtful = list(self._surprising[cell_type])[: -(-self.capacity // 2)]
        shown = {found.number for found in typical + doubtful}
        doubtful += [found for found in unsure if found.number not in shown]
        rows = [
            GalleryRow('typical', tuple(typical)),
            GalleryRow('doubtful', tuple(doubtful[: self.capacity])),
        ]
        return [row for row in rows if row.cells]
