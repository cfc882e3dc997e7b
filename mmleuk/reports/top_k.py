# Copyright (c) mmleuk authors. All rights reserved.
import heapq
from typing import Any, List, Tuple


class TopK:
    """The few items of greatest rank among any number of them.

    Args:
        capacity (int): How many are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._heap: List[tuple] = []
        self._num_seen = 0

    def add(self, rank: Tuple, item: Any) -> None:
        """Offer an item.

        Args:
            rank (tuple): What is compared. Of equals the first is better.
            item (Any): The item.
        """
        self._num_seen += 1
        entry = (rank, -self._num_seen, item)
        if len(self._heap) < self.capacity:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def __iter__(self):
        """Yield the items, the best first."""
        for entry in sorted(
            self._heap, key=lambda entry: entry[:2], reverse=True
        ):
            yield entry[-1]
