# Copyright (c) mmleuk authors. All rights reserved.
import itertools
import math
from typing import Iterator

from mmdet.datasets.samplers import GroupMultiSourceSampler

from mmleuk.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpochMultiSourceSampler(GroupMultiSourceSampler):
    """MMDetection's sampler of several sources, with epochs.

    ``GroupMultiSourceSampler`` never ends, so that the training is counted in
    steps, whose number depends on the number of processes. Here an epoch is
    as many steps as show the images of the first source, the labelled ones,
    once. Each epoch has its own order, which a resumed run repeats.

    Its arguments are those of ``GroupMultiSourceSampler``.
    """

    seed: int

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._seed_of_run = self.seed

    def __iter__(self) -> Iterator[int]:
        """Give the indices of the batches of one epoch, for this process."""
        return itertools.islice(super().__iter__(), len(self))

    def __len__(self) -> int:
        """Number of indices that this process gets in an epoch."""
        in_a_step = self.num_per_source[0] * self.world_size
        steps = math.ceil(len(self.dataset.datasets[0]) / in_a_step)
        return steps * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Order the images anew, by the seed and the number of the epoch."""
        self.seed = self._seed_of_run + epoch
        self.group_source2inds = [
            {
                source: self._indices_of_rank(sizes[group])
                for source, sizes in enumerate(self.group2size_per_source)
            }
            for group in range(len(self.group_ratio))
        ]
