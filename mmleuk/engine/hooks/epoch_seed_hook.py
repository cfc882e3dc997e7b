# Copyright (c) mmleuk authors. All rights reserved.
import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmleuk.engine.worker_seed import WorkerSeeder, clear_caches
from mmleuk.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed each epoch by the run's seed and the number of the epoch.

    A resumed run draws the same random numbers as an uninterrupted one.
    MMEngine restores weights, optimizer and schedules, but not the random
    state of the process, which samples RoIs, nor of the workers, which
    augment images.

    At the start of each epoch the random generators of the process and of the
    workers get new seeds, and images that transforms cached earlier (mosaics)
    are dropped. On the same machine and with as many workers, the weights
    after an epoch are then those of an uninterrupted run. An iteration-based
    training counts as one epoch.

    Persistent workers are not started anew, see :class:`WorkerSeeder`.
    Workers with a custom ``worker_init_fn`` keep it and its seeds. Generators
    that a transform has for itself are not seeded.
    """

    # Before hooks that draw at the start of an epoch, such as mining.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._workers = WorkerSeeder()

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
        clear_caches(loader.dataset)
        if loader.num_workers > 0:
            self._workers.seed(loader, int(of_workers) % 2**31)
