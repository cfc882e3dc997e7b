# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Callable, List, TypeVar

from mmengine.dist import all_gather_object, get_dist_info

_Result = TypeVar('_Result')


@dataclass(frozen=True)
class WorkShare:
    """The part of a process in work that several processes share out.

    Args:
        rank (int): Number of this process, from 0.
        size (int): Number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of_group(cls) -> 'WorkShare':
        """Make the share of this process in torch's process group."""
        return cls(*get_dist_info())

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes results."""
        return self.rank == 0

    def run(self, work: Callable[[], _Result]) -> List[_Result]:
        """Do the part of this process and wait for those of all others.

        All processes have to call it equally often. An error in one of them
        is raised in all, so that none waits for ever.

        Args:
            work (callable): Returns the result of this process, which can be
                pickled.

        Returns:
            list: Results by rank: this process's own as it is, copies of the
            others'.

        Raises:
            Exception: The error of the process of the lowest rank with one.
        """
        if self.size == 1:
            return [work()]
        try:
            result = work()
        except Exception as error:
            all_gather_object((None, error))
            raise
        results = []
        for other, failure in all_gather_object((result, None)):
            if failure is not None:
                raise failure
            results.append(other)
        results[self.rank] = result
        return results
