# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.models.task_modules import RandomSampler
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmleuk.models.task_modules import (
    RegionMaxIoUAssigner,
    SparseRegionSampler,
)
from mmleuk.structures import UNANNOTATED

ASSIGNER = RegionMaxIoUAssigner(
    pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False
)
CFG = ConfigDict(pos_weight=-1)
LABELLED, MINED = [10.0, 10, 30, 30], [110.0, 10, 130, 30]


@pytest.fixture(scope='module', autouse=True)
def modules():
    register_all_modules()


def build(type, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type=type,
            in_channels=4,
            fc_out_channels=8,
            roi_feat_size=7,
            num_classes=3,
            reg_class_agnostic=True,
            **kwargs,
        )
    )


def sample(sampler_type, probs):
    """RoIs of a field with a labelled and a mined cell."""
    truth = InstanceData(
        bboxes=torch.tensor([LABELLED, MINED]),
        labels=torch.tensor([0, 2]),
        probs=torch.tensor(probs),
    )
    ignored = InstanceData(
        bboxes=torch.tensor([[100.0, 0, 200, 100]]),
        labels=torch.tensor([UNANNOTATED]),
    )
    priors = torch.tensor([LABELLED, MINED, [50.0, 50, 70, 70]]) + 1
    pred = InstanceData(priors=priors)
    sampler = sampler_type(num=16, pos_fraction=0.5)
    return sampler.sample(ASSIGNER.assign(pred, truth, ignored), pred, truth)


def targets(head, results, concat=True):
    return head.get_targets(results, CFG, concat=concat)


@pytest.mark.parametrize('weight', [0.0, 0.25, 1.0])
def test_mined_cells_teach_boxes_by_their_weight(weight):
    head = build('mmleuk.RegionShared2FCBBoxHead', mined_box_weight=weight)
    plain = build('Shared2FCBBoxHead')
    results = [
        sample(SparseRegionSampler, [1.0, 0.97]),
        sample(SparseRegionSampler, [1.0, 1.0]),
    ]
    own, theirs = targets(head, results), targets(plain, results)
    for one, other in zip(own[:3], theirs[:3]):
        assert torch.equal(one, other)
    # Of each image two RoIs on either cell, and one that is background.
    is_mined = torch.zeros(10, dtype=torch.bool)
    is_mined[:5] = own[0][:5] == 2
    assert is_mined.sum() == 2
    expected = theirs[3].clone()
    expected[is_mined] = weight
    # The six RoIs on labelled cells make up for the two.
    expected *= 8 / (6 + 2 * weight)
    torch.testing.assert_close(own[3], expected)
    assert theirs[3].sum() == 4 * 8

    parts = targets(head, results, concat=False)
    for whole, part in zip(own, parts):
        assert torch.equal(whole, torch.cat(part))


@pytest.mark.parametrize('limit, expected', [(4.0, 2.0), (1.5, 1.5)])
def test_labelled_cells_make_up_for_mined_ones(limit, expected):
    head = build('mmleuk.RegionShared2FCBBoxHead', max_box_weight=limit)
    weights = targets(head, [sample(SparseRegionSampler, [1.0, 0.9])])[3]
    assert weights[:, 0].sort().values.tolist() == [0] * 3 + [expected] * 2


def test_no_gradient_comes_from_a_mined_box():
    """Neither in the loss, while its type is learned as any other."""
    head = build('mmleuk.RegionShared2FCBBoxHead')
    result = sample(SparseRegionSampler, [0.9, 0.9])
    num_rois = len(result.priors)
    scores = torch.zeros(num_rois, 4, requires_grad=True)
    deltas = torch.ones(num_rois, 4, requires_grad=True)
    rois = torch.cat([torch.zeros(num_rois, 1), result.priors], dim=1)
    losses = head.loss_and_target(scores, deltas, rois, [result], CFG)
    losses = losses['loss_bbox']
    (losses['loss_cls'] + losses['loss_bbox']).backward()
    assert losses['loss_bbox'] == 0
    assert deltas.grad.abs().sum() == 0
    assert (scores.grad.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize('probs', [[1.0, 1.0], [1.0, 0.5]])
def test_other_samplers_give_what_mmdet_gives(probs):
    results = [sample(RandomSampler, probs)]
    own = targets(build('mmleuk.RegionShared2FCBBoxHead'), results)
    theirs = targets(build('Shared2FCBBoxHead'), results)
    for one, other in zip(own, theirs):
        assert torch.equal(one, other)


def test_images_without_positives():
    result = sample(SparseRegionSampler, [1.0, 0.9])
    empty = ASSIGNER.assign(
        InstanceData(priors=result.priors),
        InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long()),
        InstanceData(
            bboxes=torch.tensor([[100.0, 0, 200, 100]]),
            labels=torch.tensor([UNANNOTATED]),
        ),
    )
    truth = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long()
    )
    sampled = SparseRegionSampler(num=16, pos_fraction=0.5).sample(
        empty, InstanceData(priors=result.priors), truth
    )
    own = targets(build('mmleuk.RegionShared2FCBBoxHead'), [sampled])
    assert len(own[0]) == 3
    assert own[3].sum() == 0


@pytest.mark.parametrize(
    'key, value', [('mined_box_weight', 2), ('max_box_weight', 0.5)]
)
def test_a_weight_out_of_range(key, value):
    with pytest.raises(ValueError, match=f'got {key}={value}, expected'):
        build('mmleuk.RegionShared2FCBBoxHead', **{key: value})
