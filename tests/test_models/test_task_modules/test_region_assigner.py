# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.models.task_modules import AssignResult, BaseAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

from mmleuk.models.dense_heads import RegionFCOSHead, RegionYOLOXHead
from mmleuk.models.task_modules import BackgroundRule, RegionAssigner
from mmleuk.structures import UNANNOTATED

BOXES = torch.tensor([[0.0, 0, 20, 20], [40, 0, 60, 20], [50, 50, 60, 60]])
IGNORED = InstanceData(
    bboxes=torch.tensor([[0.0, 0, 30, 64], [48, 48, 64, 64]]),
    labels=torch.tensor([UNANNOTATED, 3]),
)
TRUTH = InstanceData(
    bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64)
)


class Noting(BaseAssigner):
    """Takes all for background, and notes its arguments."""

    def assign(self, pred_instances, *args, **kwargs):
        self.args, self.kwargs = args, kwargs
        num = len(pred_instances)
        zeros = torch.zeros(num, dtype=torch.int64)
        return AssignResult(0, zeros, torch.zeros(num), zeros - 1)


class Positional(Noting):
    """As TaskAlignedAssigner: the ignored instances stand in between."""

    def assign(
        self, pred_instances, gt_instances, gt_instances_ignore=None, alpha=1
    ):
        return super().assign(
            pred_instances, gt_instances, gt_instances_ignore, alpha
        )


@pytest.fixture(autouse=True)
def registered():
    for cls in (Noting, Positional):
        TASK_UTILS.register_module(module=cls, force=True)
    yield
    for cls in (Noting, Positional):
        del TASK_UTILS.module_dict[cls.__name__]


def make(kind='Noting', **settings):
    return RegionAssigner(dict(type=kind), **settings)


@pytest.mark.parametrize('as_keyword', [False, True])
def test_the_other_assigner_gets_no_ignored_instances(as_keyword):
    assigner = make('Positional')
    pred = InstanceData(priors=BOXES)
    if as_keyword:
        result = assigner.assign(
            pred, gt_instances=TRUTH, gt_instances_ignore=IGNORED, alpha=7
        )
    else:
        result = assigner.assign(pred, TRUTH, IGNORED, 7)
    assert result.gt_inds.tolist() == [-1, 0, -1]
    unannotated = result.get_extra_property('is_unannotated')
    assert unannotated.tolist() == [True, False, False]
    presence = result.get_extra_property('presence_probability')
    assert presence.tolist() == [1, 1, 1]
    assert assigner.assigner.args == (TRUTH, None, 7)


def test_an_assigner_that_names_no_ignored_instances():
    assigner = make()
    result = assigner.assign(
        InstanceData(priors=BOXES), TRUTH, gt_instances_ignore=IGNORED
    )
    assert result.gt_inds.tolist() == [-1, 0, -1]
    assert assigner.assigner.kwargs == {}


def test_queries_are_their_predicted_boxes():
    assigner = RegionAssigner(
        dict(
            type='HungarianAssigner',
            match_costs=[dict(type='FocalLossCost', weight=2.0)],
        )
    )
    pred = InstanceData(bboxes=BOXES, scores=torch.zeros(3, 2))
    meta = dict(img_shape=(64, 64), gt_instances_ignore=IGNORED)
    result = assigner.assign(
        pred_instances=pred, gt_instances=TRUTH, img_meta=meta
    )
    assert result.gt_inds.tolist() == [-1, 0, -1]
    meta['gt_instances_ignore'] = None
    result = assigner.assign(pred, TRUTH, img_meta=meta)
    assert result.gt_inds.tolist() == [0, 0, 0]
    # The head of MMDetection.
    del meta['gt_instances_ignore']
    with pytest.raises(ValueError, match='mmleuk.RegionDETRHead'):
        assigner.assign(pred, TRUTH, img_meta=meta)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_points(dtype):
    # x, y and strides; the area ends at x = 30, the cell begins at 48.
    points = torch.tensor(
        [
            [29.0, 20, 8, 8],
            [33, 20, 8, 8],
            [35, 20, 8, 8],
            [35, 20, 16, 16],
            [47, 56, 2, 2],
            [49, 56, 2, 2],
        ],
        dtype=dtype,
    )
    result = make(point_size=1).assign(
        InstanceData(priors=points), TRUTH, gt_instances_ignore=IGNORED
    )
    assert result.gt_inds.tolist() == [-1, -1, 0, -1, 0, -1]


def test_it_is_not_the_one_of_mmdet():
    ours = TASK_UTILS.get('mmleuk.RegionAssigner')
    assert ours is RegionAssigner
    assert TASK_UTILS.get('RegionAssigner') is not ours


def test_priors_that_are_neither_boxes_nor_points_with_strides():
    with pytest.raises(ValueError, match=r'shape \(3, 2\), expected \(n, 4\)'):
        make().assign(
            InstanceData(priors=BOXES[:, :2]),
            TRUTH,
            gt_instances_ignore=IGNORED,
        )


@pytest.mark.parametrize(
    'settings',
    [
        dict(point_size=0),
        dict(point_size=8, ignore_wrt_candidates=False),
        dict(bg_coverage_thr=1.1),
    ],
)
def test_rules_that_make_no_sense(settings):
    with pytest.raises(ValueError, match='expected a'):
        BackgroundRule(**settings)


@pytest.mark.parametrize('point_size', [None, 8])
@pytest.mark.parametrize('loss', ['CrossEntropyLoss', 'FocalLoss'])
def test_heads_refuse_what_they_cannot_mask(point_size, loss):
    loss = dict(type=loss, use_sigmoid=True, reduction='sum')
    assigner = dict(
        type='mmleuk.RegionAssigner',
        point_size=point_size,
        assigner=dict(type='SimOTAAssigner'),
    )
    settings = dict(train_cfg=dict(assigner=assigner), loss_obj=loss)
    if point_size and loss['type'] == 'CrossEntropyLoss':
        RegionYOLOXHead(2, 8, **settings)
    else:
        with pytest.raises(TypeError, match='as (loss_obj|train_cfg.assig)'):
            RegionYOLOXHead(2, 8, **settings)
    settings = dict(region_cfg=dict(point_size=point_size), loss_cls=loss)
    if point_size and loss['type'] == 'FocalLoss':
        RegionFCOSHead(2, 8, **settings)
    else:
        with pytest.raises((TypeError, ValueError), match='expected'):
            RegionFCOSHead(2, 8, **settings)
