# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from mmdet.datasets.samplers import multi_source_sampler
from torch.utils.data import ConcatDataset, Dataset

from mmleuk.datasets.samplers import EpochMultiSourceSampler


class Fields(Dataset):
    def __init__(self, number):
        self.number = number

    def __len__(self):
        return self.number

    def get_data_info(self, index):
        return dict(width=640, height=640)


@pytest.fixture
def build(monkeypatch):
    """Build the sampler of one rank: 4 of 10 fields and 2 of 7 in a step."""

    def build(rank=0, world_size=1, seed=0):
        monkeypatch.setattr(
            multi_source_sampler, 'get_dist_info', lambda: (rank, world_size)
        )
        return EpochMultiSourceSampler(
            ConcatDataset([Fields(10), Fields(7)]),
            batch_size=6,
            source_ratio=[4, 2],
            seed=seed,
        )

    return build


def test_an_epoch_shows_the_first_source_once(build):
    sampler = build()
    indices = np.array(list(sampler)).reshape(-1, 6)
    assert len(sampler) == indices.size == 3 * 6
    assert set(indices[:, :4].ravel()) == set(range(10))
    assert (indices[:, 4:] >= 10).all()


def test_processes_share_an_epoch(build):
    parts = [list(build(rank, 2)) for rank in range(2)]
    # 10 fields in steps of 8.
    assert [len(part) for part in parts] == [2 * 6] * 2
    labelled = np.array(parts).reshape(4, 6)[:, :4]
    assert set(labelled.ravel()) == set(range(10))


def test_epochs_differ_and_are_repeated_after_a_resume(build):
    sampler = build()
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert epochs[0] != epochs[1] != epochs[2]
    resumed = build()
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2]
