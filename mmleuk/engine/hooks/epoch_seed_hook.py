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
    """Make what is random in an epoch depend on seed and epoch alone.

    A training that goes on after an interruption then draws what it would have
    drawn without. MMEngine restores weights, optimizer and schedules, but no
    random state: neither that of the process, from which RoIs are sampled, nor
    that of the workers, from which images are augmented.

    At the start of each epoch the random generators of the process are seeded
    anew, workers are started anew with seeds of their own, and images that
    transforms keep from earlier ones (mosaics) are forgotten. On the same
    machine and with as many workers, the weights after an epoch are then those
    of an uninterrupted run. Training that counts iterations is one epoch to
    this hook.

    Workers with a ``worker_init_fn`` of the user's own keep it, and their
    seeds are its affair. PyTorch has no public way to restart persistent
    workers: as in mmdet's ``PipelineSwitchHook``, the iterator that holds them
    is dropped.
    """

    # Before whatever draws at the start of an epoch, such as mining.
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed an epoch.

        Args:
            runner (:obj:`Runner`): The runner.
        """
        keys = [runner.seed, runner.epoch]
        own, of_workers = np.random.SeedSequence(
            [*keys, get_rank()]
        ).generate_state(2)
        random.seed(int(own))
        # What mmcv and mmdet draw from.
        np.random.seed(int(own))  # noqa: NPY002
        # Of all devices.
        torch.manual_seed(int(own))
        loader = runner.train_dataloader
        _forget_images(loader.dataset)
        if loader.num_workers > 0:
            _restart_workers(loader, int(of_workers) % 2**31)


def _restart_workers(loader: DataLoader, seed: int) -> None:
    """Let the next epoch have new workers with new seeds."""
    init_fn = loader.worker_init_fn
    if isinstance(init_fn, partial) and init_fn.func is worker_init_fn:
        loader.worker_init_fn = partial(init_fn, seed=seed)
    if loader.persistent_workers:
        loader._iterator = None


def _forget_images(dataset) -> None:
    """Empty the caches of transforms, inside any wrappers of the data set."""
    for part in getattr(dataset, 'datasets', ()):
        _forget_images(part)
    if hasattr(dataset, 'dataset'):
        _forget_images(dataset.dataset)
    for transform in _transforms(getattr(dataset, 'pipeline', None)):
        # Of ours, and of mmdet's CachedMosaic and CachedMixUp.
        for name in ('cache', 'results_cache'):
            if isinstance(getattr(transform, name, None), list):
                getattr(transform, name).clear()


def _transforms(pipeline) -> Iterable:
    """Go through transforms, also those inside of others."""
    if callable(pipeline):
        yield pipeline
    inner = getattr(pipeline, 'transforms', pipeline)
    if isinstance(inner, dict):
        inner = inner.values()
    if isinstance(inner, (list, tuple)) or hasattr(inner, '__iter__'):
        for transform in inner:
            if transform is not pipeline:
                yield from _transforms(transform)
