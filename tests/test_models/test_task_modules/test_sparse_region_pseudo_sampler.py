# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.models.task_modules import MaxIoUAssigner, PseudoSampler
from mmengine.structures import InstanceData

from mmleuk.models.task_modules import (
    RegionMaxIoUAssigner,
    SparseRegionPseudoSampler,
)
from mmleuk.structures import CANDIDATE, UNANNOTATED

RETINA = dict(pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0)
# 20 x 10 priors of 10 x 10 pixels; the right half is not annotated.
PRIORS = torch.tensor(
    [
        [x, y, x + 10, y + 10]
        for x in range(0, 200, 10)
        for y in range(0, 100, 10)
    ]
).float()
TRUTH = InstanceData(
    bboxes=torch.tensor([[20.0, 20, 30, 30]]), labels=torch.tensor([3])
)
IS_RIGHT = PRIORS[:, 0] >= 100


def sample(sampler, ignored, assigner=None):
    assigner = assigner or RegionMaxIoUAssigner(**RETINA)
    pred = InstanceData(priors=PRIORS)
    result = assigner.assign(pred, TRUTH, ignored)
    sampled = sampler.sample(result, pred, TRUTH)
    is_background = torch.zeros(len(PRIORS), dtype=torch.bool)
    is_background[sampled.neg_inds] = True
    return sampled, is_background


def ignored_of(probs=None):
    ignored = InstanceData(
        bboxes=torch.tensor([[100.0, 0, 200, 100], [140, 40, 150, 50]]),
        labels=torch.tensor([UNANNOTATED, CANDIDATE]),
    )
    if probs is not None:
        ignored.probs = torch.tensor(probs)
    return ignored


def test_a_whole_image_is_plain_mmdet():
    own, own_background = sample(SparseRegionPseudoSampler(), None)
    plain, background = sample(PseudoSampler(), None, MaxIoUAssigner(**RETINA))
    assert torch.equal(own.pos_inds, plain.pos_inds)
    assert torch.equal(own_background, background)
    assert background.sum() == len(PRIORS) - 1


def test_without_mining_nothing_unannotated_is_background():
    sampled, is_background = sample(SparseRegionPseudoSampler(), ignored_of())
    assert not is_background[IS_RIGHT].any()
    assert is_background[~IS_RIGHT].sum() == IS_RIGHT.sum() - 1
    assert sampled.pos_gt_labels.tolist() == [3]


def test_background_is_drawn_by_its_probability():
    torch.manual_seed(0)
    sampler = SparseRegionPseudoSampler(max_presence_probability=0.5)
    draws = torch.stack(
        [sample(sampler, ignored_of([0.2, 0.9]))[1] for _ in range(300)]
    ).float()
    candidate = (PRIORS == torch.tensor([140.0, 40, 150, 50])).all(dim=1)
    assert draws[:, candidate].sum() == 0
    share = draws[:, IS_RIGHT & ~candidate].mean()
    assert share == pytest.approx(0.8, abs=0.01)
    # On annotated area nothing is left to chance.
    assert draws[:, ~IS_RIGHT].mean(dim=0).unique().tolist() == [0, 1]


def test_too_likely_a_cell_is_no_background():
    sampler = SparseRegionPseudoSampler(max_presence_probability=0.1)
    _, is_background = sample(sampler, ignored_of([0.2, 0.9]))
    assert not is_background[IS_RIGHT].any()


def test_a_probability_is_a_number_up_to_one():
    with pytest.raises(ValueError, match='max_presence_probability=2'):
        SparseRegionPseudoSampler(max_presence_probability=2)
