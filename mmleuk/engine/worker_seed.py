# Copyright (c) mmleuk authors. All rights reserved.
"""Seeds and caches of the workers of a dataloader, epoch by epoch."""

from functools import partial
from typing import Any, Optional

import torch
from mmengine.dataset import worker_init_fn
from torch.utils.data import DataLoader, get_worker_info

from .dataset_wrappers import iter_transforms, unwrap_dataset


class WorkerSeed:
    """A transform that seeds its worker whenever the seed has changed.

    It stands first in the pipeline of each dataset, so that it is called
    before anything is drawn. The seed is in shared memory: persistent workers
    see what the main process sets between two epochs. They then draw what
    workers that are started with this seed draw, and have as empty caches.

    Args:
        init_fn (functools.partial): ``worker_init_fn`` of MMEngine with its
            arguments; ``seed`` is replaced.
    """

    def __init__(self, init_fn: partial) -> None:
        self.init_fn = init_fn
        self.seed = torch.zeros((), dtype=torch.int64).share_memory_()
        self._last_seed: Optional[int] = None

    def __call__(self, results: Any) -> Any:
        """Seed the worker if the seed is new; return ``results``."""
        worker = get_worker_info()
        seed = int(self.seed)
        if worker is not None and seed != self._last_seed:
            self._last_seed = seed
            self.init_fn(worker.id, seed=seed)
            clear_caches(worker.dataset)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


class WorkerSeeder:
    """Seeds the workers of one dataloader before each epoch.

    Persistent workers live on. They are started anew only where a pipeline
    has no :class:`WorkerSeed` yet: before the first epoch, and after a hook
    changed the pipeline.
    """

    def __init__(self) -> None:
        self._worker_seed: Optional[WorkerSeed] = None
        self._generator = torch.Generator()

    def seed(self, loader: DataLoader, seed: int) -> None:
        """Set the seed of the next epoch.

        Args:
            loader (DataLoader): Always the same one, with workers. They keep
                a ``worker_init_fn`` that is not MMEngine's, and its seeds,
                and are then started anew for each epoch. So they are where a
                dataset has no pipeline.
            seed (int): The seed, in [0, 2**31).
        """
        # Starting workers draws a number. Drawn from the generator of the
        # process it would change what the model draws after it.
        loader.generator = self._generator.manual_seed(seed)
        init_fn = loader.worker_init_fn
        can_live_on = False
        if isinstance(init_fn, partial) and init_fn.func is worker_init_fn:
            # For workers that start later.
            loader.worker_init_fn = partial(init_fn, seed=seed)
            if loader.persistent_workers:
                if self._worker_seed is None:
                    self._worker_seed = WorkerSeed(init_fn)
                self._worker_seed.seed.fill_(seed)
                was_first = [
                    self._is_first_in(dataset)
                    for dataset in unwrap_dataset(loader.dataset)
                ]
                can_live_on = all(was_first)
        if loader.persistent_workers and not can_live_on:
            # PyTorch has no public way to end persistent workers: they end
            # with the iterator that holds them.
            loader._iterator = None

    def _is_first_in(self, dataset: Any) -> bool:
        """Put the transform into a pipeline; return whether it was there."""
        pipeline = getattr(dataset, 'pipeline', None)
        transforms = getattr(pipeline, 'transforms', pipeline)
        if not isinstance(transforms, list):
            return False
        if self._worker_seed in transforms[:1]:
            return True
        transforms.insert(0, self._worker_seed)
        return False


def clear_caches(dataset: Any) -> None:
    """Empty the caches of transforms, inside any wrappers of the data set."""
    for part in getattr(dataset, 'datasets', ()):
        clear_caches(part)
    if hasattr(dataset, 'dataset'):
        clear_caches(dataset.dataset)
    for transform in iter_transforms(getattr(dataset, 'pipeline', None)):
        # Names in our transforms, and in mmdet's CachedMosaic and CachedMixUp.
        for name in ('cache', 'results_cache'):
            if isinstance(getattr(transform, name, None), list):
                getattr(transform, name).clear()
