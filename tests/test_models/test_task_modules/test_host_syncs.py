# Copyright (c) mmleuk authors. All rights reserved.
"""Assigner and sampler wait for a device no more often than MMDetection's."""

import pytest
import torch
from mmdet.models.task_modules import MaxIoUAssigner, RandomSampler
from mmengine.structures import InstanceData
from test_sparse_region_sampler import RCNN, SAMPLING, FixedRoIHead
from torch.utils._python_dispatch import TorchDispatchMode

from mmleuk.models.task_modules import (
    RegionMaxIoUAssigner,
    SparseRegionSampler,
)
from mmleuk.structures import CANDIDATE, UNANNOTATED, ignored_instances

# What makes the host wait: a value, or a size that depends on values.
WAITING = ('_local_scalar_dense', 'nonzero', 'unique', 'masked_select', 'item')


class CountWaits(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        waits = any(word in name for word in WAITING)
        if name in ('index', 'index_put', 'index_put_'):
            waits = any(
                index is not None and index.dtype == torch.bool
                for index in args[1]
            )
        if waits:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def count(assigner, sampler, priors, truth, ignored):
    with CountWaits() as waits:
        result = assigner.assign(priors, truth, ignored)
        sampler.sample(result, priors, truth, feats=[])
    return waits.names


@pytest.mark.parametrize('num_truth', [0, 1, 5])
@pytest.mark.parametrize('mode', ['region', 'mined', 'self-mined'])
def test_syncs(num_truth, mode, monkeypatch):
    monkeypatch.setattr(
        ignored_instances, '_is_asynchronous', lambda device: True
    )
    torch.manual_seed(0)
    corners = torch.rand(400, 2) * 150
    priors = InstanceData(
        priors=torch.cat([corners, corners + 30], dim=1),
    )
    truth = InstanceData(
        bboxes=priors.priors[:num_truth] + 1,
        labels=torch.arange(num_truth),
    )
    theirs = count(
        MaxIoUAssigner(**RCNN, ignore_iof_thr=0.5),
        RandomSampler(**SAMPLING),
        priors,
        truth,
        InstanceData(bboxes=torch.tensor([[0.0, 0, 5, 5]])),
    )
    ignored = InstanceData(
        bboxes=torch.tensor(
            [[0.0, 0, 100, 150], [20, 20, 50, 50], [120, 120, 150, 150]]
        ),
        labels=torch.tensor([UNANNOTATED, CANDIDATE, 3]),
    )
    settings = {}
    if mode == 'mined':
        ignored.probs = torch.tensor([0.01, 0.5, 1.0])
    if mode == 'self-mined':
        settings = dict(
            self_mining=dict(),
            context=FixedRoIHead([(priors.priors[-1].tolist(), 1, 0.99)]),
        )
    ours = count(
        RegionMaxIoUAssigner(**RCNN),
        SparseRegionSampler(**SAMPLING, **settings),
        priors,
        truth,
        ignored,
    )
    assert theirs
    assert len(ours) <= len(theirs), (ours, theirs)
