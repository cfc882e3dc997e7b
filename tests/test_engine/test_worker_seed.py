# Copyright (c) mmleuk authors. All rights reserved.
import os
import random
from functools import partial
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, worker_init_fn
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from mmleuk.engine.worker_seed import WorkerSeed, WorkerSeeder

NUM_WORKERS = 2


class Draws:
    """Draws from all generators, and remembers all that it has drawn."""

    def __init__(self):
        self.cache = []

    def __call__(self, index):
        drawn = (
            random.random(),
            np.random.rand(),  # noqa: NPY002
            float(torch.rand(())),
        )
        self.cache.append(drawn)
        return index, os.getpid(), tuple(self.cache)


class Indices(Dataset):
    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if self.pipeline is None:
            return Draws()(index)
        results = index
        for transform in getattr(self.pipeline, 'transforms', self.pipeline):
            results = transform(results)
        return results


def make_loader(dataset=None, rank=0, **kwargs):
    init_fn = partial(
        worker_init_fn, num_workers=NUM_WORKERS, rank=rank, seed=0
    )
    return DataLoader(
        dataset or Indices([Draws()]),
        batch_size=2,
        num_workers=NUM_WORKERS,
        collate_fn=list,
        **dict(
            dict(worker_init_fn=init_fn, persistent_workers=True), **kwargs
        ),
    )


def run(loader, seeds):
    """Return all samples and the workers' process ids, epoch by epoch."""
    seeder = WorkerSeeder()
    samples, workers = [], []
    for seed in seeds:
        seeder.seed(loader, seed)
        rows = [row for batch in loader for row in batch]
        samples.append([(index, drawn) for index, _, drawn in rows])
        workers.append({pid for _, pid, _ in rows})
    return samples, workers


def test_workers_live_on_and_draw_what_new_ones_draw():
    samples, workers = run(make_loader(), [50, 60, 50])
    assert workers[0] == workers[1] == workers[2]
    assert len(workers[0]) == NUM_WORKERS
    assert samples[0] == samples[2] != samples[1]
    # Workers that start in the second epoch, as in a resumed run. The caches
    # of the others are as empty.
    assert run(make_loader(), [60])[0] == samples[1:2]
    # Each worker and each process has numbers of its own.
    draws = {drawn for rows in samples for _, drawn in rows}
    assert len(draws) == 8
    other, _ = run(make_loader(rank=1), [50])
    assert not draws & {drawn for _, drawn in other[0]}


def test_a_new_pipeline_needs_new_workers_once():
    loader, seeder = make_loader(), WorkerSeeder()
    workers = []
    for epoch in range(4):
        seeder.seed(loader, epoch)
        if epoch == 1:
            # What a hook does that switches pipelines.
            loader.dataset.pipeline = [Draws()]
            loader._iterator = None
        workers.append({row[1] for batch in loader for row in batch})
    assert not workers[1] & workers[0]
    assert workers[2] == workers[3]


@pytest.mark.parametrize(
    'dataset',
    [
        Indices(Compose([Draws()])),
        ConcatDataset([Indices([Draws()]), Indices([Draws()])]),
    ],
    ids=['compose', 'wrapped'],
)
def test_wrappers(dataset):
    samples, workers = run(make_loader(dataset), [50, 60, 50])
    assert workers[0] == workers[1] == workers[2]
    assert samples[0] == samples[2] != samples[1]


@pytest.mark.parametrize(
    'settings',
    [
        # No pipeline in which a transform could stand.
        dict(dataset=Indices(None)),
        dict(persistent_workers=False),
    ],
    ids=['no pipeline', 'not persistent'],
)
def test_other_workers_are_started_anew(settings):
    samples, workers = run(make_loader(**settings), [50, 60, 50])
    assert not workers[0] & workers[1]
    assert samples[0] == samples[2] != samples[1]


def own_seed(worker_id):
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(worker_id)


def test_workers_with_another_init_fn_keep_its_seeds():
    samples, workers = run(make_loader(worker_init_fn=own_seed), [50, 60])
    assert not workers[0] & workers[1]
    assert samples[0] == samples[1]


def test_a_process_that_is_spawned_sees_the_seed():
    """It gets a pickled copy."""
    worker_seed = WorkerSeed(partial(worker_init_fn, num_workers=1, rank=0))
    copy = ForkingPickler.loads(ForkingPickler.dumps(worker_seed))
    worker_seed.seed.fill_(7)
    assert int(copy.seed) == 7


def test_the_process_itself_is_not_seeded():
    loader = make_loader()
    state = torch.get_rng_state()
    run(loader, [50, 60])
    assert torch.equal(torch.get_rng_state(), state)
    loader.dataset[0]
    loader.dataset[0]
    drawn = loader.dataset[0][2]
    assert len(set(drawn)) == 3
