# Copyright (c) mmleuk authors. All rights reserved.
import heapq
from collections import Counter, defaultdict
from functools import partial
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from .found_cells import FoundCell


class TopK:
    """Keeps the ``capacity`` items of the highest rank among any number."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._heap: List[tuple] = []
        self._num_seen = 0

    def add(self, rank: Tuple, item: Any) -> None:
        """Offer an item; of equal ranks the first is better."""
        self._num_seen += 1
        # Unique, so that items are never compared.
        heapq.heappush(self._heap, (rank, -self._num_seen, item))
        if len(self._heap) > self.capacity:
            heapq.heappop(self._heap)

    def __iter__(self) -> Iterator:
        """Yield the items, the best first."""
        return (entry[-1] for entry in sorted(self._heap, reverse=True))


class GalleryRow(NamedTuple):
    """Cells of a type that are shown side by side.

    Args:
        kind (str): ``'all'``, ``'typical'`` or ``'doubtful'``.
        cells (tuple[FoundCell]): The cells.
    """

    kind: str
    cells: Tuple[FoundCell, ...]


class Gallery:
    """Picks the most typical and the most doubtful cells of each type.

    Typical are those of the highest confidence without a surprising
    attribute. Doubtful are those with surprising attributes, up to half of
    the row, and those of the lowest confidence. If all cells of a type fit in
    one row, all are shown.

    Args:
        capacity (int): Maximum number of cells in a row.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._seen: Counter = Counter()
        self._sure: Dict[str, TopK] = defaultdict(partial(TopK, capacity))
        # Some of the least confident may be shown as surprising.
        self._unsure: Dict[str, TopK] = defaultdict(
            partial(TopK, 2 * capacity)
        )
        self._surprising: Dict[str, TopK] = defaultdict(
            partial(TopK, capacity)
        )

    def add(self, found: FoundCell) -> None:
        """Offer a cell."""
        name, surprises = found.cell.type, found.surprises
        self._seen[name] += 1
        self._unsure[name].add((-found.confidence,), found)
        if surprises:
            rank = (len(surprises), -surprises[0].likelihood_ratio)
            self._surprising[name].add(rank, found)
        else:
            self._sure[name].add((found.confidence,), found)

    def rows(self, cell_type: str) -> List[GalleryRow]:
        """Pick the cells of a type to show, in rows that are not empty."""
        unsure = list(self._unsure[cell_type])
        typical = list(self._sure[cell_type])
        doubtful = list(self._surprising[cell_type])[: -(-self.capacity // 2)]
        shown = {found.number for found in typical + doubtful}
        doubtful += [found for found in unsure if found.number not in shown]
        rows = [
            GalleryRow('typical', tuple(typical)),
            GalleryRow('doubtful', tuple(doubtful[: self.capacity])),
        ]
        if self._seen[cell_type] <= self.capacity:
            rows = [GalleryRow('all', tuple(reversed(unsure)))]
        return [row for row in rows if row.cells]
