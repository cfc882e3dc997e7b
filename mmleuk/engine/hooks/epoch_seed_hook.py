# Copyright (c) mmleuk authors. All rights reserved.
import random
from functools import partial
from typing import Iterable

import numpy as np
import torch
from mmengine.dataset import worker_init_fn
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmleuk.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed each epoch by the run's seed and the number of the epoch.

    A resumed run draws the same random numbers as an uninterrupted one.
    MMEngine restores weights, optimizer and schedules, but not the random
    state of the process, which samples RoIs, nor of the workers, which
    augment images.

    At the start of each epoch the random generators of the process are
    seeded, workers are restarted with new seeds, and images that transforms
    cached earlier (mosaics) are dropped. On the same machine and with as many
    workers, the weights after an epoch are then those of an uninterrupted
    run. An iteration-based training counts as one epoch.

    Workers with a custom ``worker_init_fn`` keep it and its seeds. PyTorch
    has no public way to restart persistent workers: as in mmdet's
    ``PipelineSwitchHook``, the iterator that holds them is dropped.
    """

    # Before hooks that draw at the start of an epoch, such as mining.
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed an epoch."""
        keys = [runner.seed, runner.epoch]
        own, of_workers = np.random.SeedSequence(
            [*keys, get_rank()]
        ).generate_state(2)
        random.seed(int(own))
        # mmcv and mmdet use the global generator.
        np.random.seed(int(own))  # noqa: NPY002
        torch.manual_seed(int(own))
        loader = runner.train_dataloader
        _clear_caches(loader.dataset)
        if loader.num_workers > 0:
            _restart_workers(loader, int(of_workers) % 2**31)


def _restart_workers(loader: DataLoader, seed: int) -> None:
    """Make the next epoch start new workers with new seeds."""
    init_fn = loader.worker_init_fn
    if isinstance(init_fn, partial) and init_fn.func is worker_init_fn:
        loader.worker_init_fn = partial(init_fn, seed=seed)
    if loader.persistent_workers:
        loader._iterator = None


def _clear_caches(dataset) -> None:
    """Empty the caches of transforms, inside any wrappers of the data set."""
    for part in getattr(dataset, 'datasets', ()):
        _clear_caches(part)
    if hasattr(dataset, 'dataset'):
        _clear_caches(dataset.dataset)
    for transform in _transforms(getattr(dataset, 'pipeline', None)):
        # Names in our transforms, and in mmdet's CachedMosaic and CachedMixUp.
        for name in ('cache', 'results_cache'):
            if isinstance(getattr(transform, name, None), list):
                getattr(transform, name).clear()


def _transforms(pipeline) -> Iterable:
    """List transforms, also those inside of others."""
    if callable(pipeline):
        yield pipeline
    inner = getattr(pipeline, 'transforms', pipeline)
    if isinstance(inner, dict):
        inner = inner.values()
    if hasattr(inner, '__iter__'):
        for transform in inner:
            if transform is not pipeline:
                yield from _transforms(transform)
