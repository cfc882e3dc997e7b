# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

import pytest
import torch
from mmdet.models.task_modules import MaxIoUAssigner, RandomSampler
from mmdet.registry import TASK_UTILS
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from mmleuk.models.task_modules import (
    RegionMaxIoUAssigner,
    SparseRegionSampler,
)
from mmleuk.structures import CANDIDATE, UNANNOTATED

RCNN = dict(
    pos_iou_thr=0.5,
    neg_iou_thr=0.5,
    min_pos_iou=0.5,
    match_low_quality=False,
)
SAMPLING = dict(num=64, pos_fraction=0.25)
# The left half of a field of 200 x 100 is annotated.
RIGHT_HALF = [100.0, 0, 200, 100]


def grid_priors(size=10, step=10):
    xs, ys = torch.meshgrid(
        torch.arange(0, 200, step), torch.arange(0, 100, step), indexing='ij'
    )
    corners = torch.stack([xs, ys], dim=2).reshape(-1, 2).float()
    return torch.cat([corners, corners + size], dim=1)


def truth_of(boxes, labels, probs=None):
    truth = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4).float(),
        labels=torch.tensor(labels, dtype=torch.int64),
    )
    if probs is not None:
        truth.probs = torch.tensor(probs)
    return truth


def ignored_of(boxes, labels, probs=None):
    ignored = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
    )
    if probs is not None:
        ignored.probs = torch.tensor(probs)
    return ignored


def draw(sampler, truth, ignored, priors=None, assigner=None, **kwargs):
    priors = grid_priors() if priors is None else priors
    assigner = assigner or RegionMaxIoUAssigner(**RCNN)
    pred = InstanceData(priors=priors)
    result = assigner.assign(pred, truth, ignored)
    return sampler.sample(result, pred, truth, **kwargs)


def in_right_half(boxes):
    return (boxes[:, 0] >= 100).sum().item()


@pytest.mark.parametrize('num_truth', [0, 2])
@pytest.mark.parametrize('ignored', [None, ignored_of([], [])])
@pytest.mark.parametrize('balance', [False, True])
def test_whole_images_are_plain_mmdet(num_truth, ignored, balance):
    truth = truth_of(
        [[0, 0, 11, 10], [50, 50, 60, 61]][:num_truth], [1, 2][:num_truth]
    )
    priors = InstanceData(priors=grid_priors(step=5))
    results = []
    for assigner, sampler in (
        (MaxIoUAssigner(**RCNN), RandomSampler(**SAMPLING)),
        (
            RegionMaxIoUAssigner(**RCNN),
            SparseRegionSampler(**SAMPLING, balance_classes=balance),
        ),
    ):
        torch.manual_seed(0)
        assigned = assigner.assign(priors, truth, ignored)
        results.append(sampler.sample(assigned, priors, truth))
        # The random state after it is the same as well.
        results[-1].next_number = torch.rand(())
    one, other = results
    for key in ('pos_inds', 'neg_inds', 'priors', 'pos_gt_labels'):
        assert torch.equal(getattr(one, key), getattr(other, key)), key
    assert one.next_number == other.next_number


def test_no_background_without_mining():
    sampler = SparseRegionSampler(num=150, pos_fraction=0.25)
    truth = truth_of([[0, 0, 10, 10], [150, 50, 160, 60]], [1, 2])
    result = draw(sampler, truth, ignored_of([RIGHT_HALF], [UNANNOTATED]))
    assert in_right_half(result.neg_priors) == 0
    assert len(result.neg_inds) == 99
    # A labelled cell is a positive wherever it lies.
    assert sorted(result.pos_gt_labels.tolist()) == [1, 1, 2, 2]


def test_a_field_of_which_nothing_is_known_gives_nothing():
    sampler = SparseRegionSampler(**SAMPLING)
    whole = ignored_of([[0.0, 0, 200, 100]], [UNANNOTATED])
    result = draw(sampler, truth_of([], []), whole)
    assert len(result.pos_inds) == len(result.neg_inds) == 0


def test_probabilities_are_weights():
    """A prior becomes background as often as its probability says."""
    ignored = ignored_of(
        [RIGHT_HALF, [120.0, 20, 130, 30], [150.0, 50, 160, 60]],
        [UNANNOTATED, CANDIDATE, CANDIDATE],
        [0.1, 0.4, 0.8],
    )
    sampler = SparseRegionSampler(
        num=400,
        pos_fraction=0.25,
        max_presence_probability=0.5,
        log_interval=0,
    )
    torch.manual_seed(0)
    times = torch.zeros(200)
    for _ in range(300):
        result = draw(sampler, truth_of([], []), ignored)
        times[result.neg_inds] += 1
    shares = times / 300
    priors = grid_priors()
    left = priors[:, 0] < 100
    assert (shares[left] == 1).all()
    weak = (priors == torch.tensor([120.0, 20, 130, 30])).all(dim=1)
    strong = (priors == torch.tensor([150.0, 50, 160, 60])).all(dim=1)
    assert shares[weak].item() == pytest.approx(0.6, abs=0.1)
    # Above the limit it is nobody's.
    assert shares[strong].item() == 0
    rest = ~left & ~weak & ~strong
    assert shares[rest].mean().item() == pytest.approx(0.9, abs=0.01)


def test_share_of_unannotated_negatives():
    ignored = ignored_of([RIGHT_HALF], [UNANNOTATED], [0.0])
    truth = truth_of([], [])
    for share, expected in ((0.0, 0), (0.25, 10), (1.0, None)):
        sampler = SparseRegionSampler(
            num=40, pos_fraction=0.25, max_unannotated_neg_fraction=share
        )
        torch.manual_seed(0)
        counts = []
        for _ in range(20):
            result = draw(sampler, truth, ignored)
            assert len(result.neg_inds) == 40
            counts.append(in_right_half(result.neg_priors))
        if expected is None:
            # As many on either side as the field has priors there.
            assert sum(counts) / 20 == pytest.approx(20, abs=3)
        else:
            assert max(counts) == expected
    # Where there are no others they take all places.
    sampler = SparseRegionSampler(
        num=40, pos_fraction=0.25, max_unannotated_neg_fraction=0.1
    )
    whole = ignored_of([[0.0, 0, 200, 100]], [UNANNOTATED], [0.0])
    assert len(draw(sampler, truth, whole).neg_inds) == 40


def test_priors_on_ignored_cells_are_never_background():
    ignored = ignored_of(
        [RIGHT_HALF, [140.0, 40, 170, 70], [20.0, 20, 40, 40]],
        [UNANNOTATED, 5, 5],
        [0.0, 1.0, 1.0],
    )
    sampler = SparseRegionSampler(num=400, pos_fraction=0.25)
    result = draw(sampler, truth_of([], []), ignored)
    assert len(result.neg_inds) == 200 - 9 - 4


def test_balanced_classes():
    """Thirty positives of one class and three of another, ten places."""
    truth = truth_of([[0, 0, 10, 10], [50, 50, 60, 60]], [1, 2])
    priors = torch.tensor([[0.0, 0, 10, 10]] * 30 + [[50.0, 50, 60, 60]] * 3)
    ignored = ignored_of([RIGHT_HALF], [UNANNOTATED])
    share = {}
    for balance in (False, True):
        sampler = SparseRegionSampler(
            num=40,
            pos_fraction=0.1,
            balance_classes=balance,
            add_gt_as_proposals=False,
        )
        torch.manual_seed(0)
        rare = total = 0
        for _ in range(200):
            result = draw(sampler, truth, ignored, priors)
            rare += (result.pos_gt_labels == 2).sum().item()
            total += len(result.pos_inds)
        assert total == 800
        share[balance] = rare / total
    assert share[False] == pytest.approx(3 / 33, abs=0.03)
    assert share[True] == pytest.approx(0.5, abs=0.1)


class FixedHead:
    """A box head that knows where the cells are."""

    custom_cls_channels = False
    reg_class_agnostic = True

    def __init__(self, cells):
        self.cells = cells
        self.bbox_coder = SimpleNamespace(decode=lambda priors, _: priors)


class FixedRoIHead:
    bbox_roi_extractor = None

    def __init__(self, cells, num_classes=4, stage=None):
        self.cells = cells
        self.num_classes = num_classes
        self.bbox_head = FixedHead(cells)
        self.num_forwards = 0
        if stage is not None:
            self.current_stage = stage
            self.bbox_head = [None] * stage + [self.bbox_head]

    def _bbox_forward(self, *args):
        rois = args[-1]
        assert not torch.is_grad_enabled()
        self.num_forwards += 1
        probs = torch.full((len(rois), self.num_classes + 1), 1e-6)
        probs[:, -1] = 1
        for box, label, score in self.cells:
            hit = (rois[:, 1:] == torch.tensor(box)).all(dim=1)
            probs[:, label] = torch.where(hit, score, probs[:, label])
            probs[:, -1] = torch.where(hit, 1 - score, probs[:, -1])
        return dict(cls_score=probs.log(), bbox_pred=probs[:, :4])


CELLS = [
    ([120.0, 20, 130, 30], 1, 0.95),
    ([150.0, 50, 160, 60], 3, 0.5),
    # On the annotated side: labels alone speak there.
    ([20.0, 20, 30, 30], 2, 0.99),
]


@pytest.mark.parametrize('stage', [None, 2])
def test_self_mining(stage):
    context = FixedRoIHead(CELLS, stage=stage)
    sampler = TASK_UTILS.build(
        dict(
            type='mmleuk.SparseRegionSampler',
            num=400,
            pos_fraction=0.25,
            self_mining=dict(score_thr=0.9),
        ),
        default_args=dict(context=context),
    )
    truth = truth_of([[60, 60, 70, 70]], [0])
    ignored = ignored_of([RIGHT_HALF], [UNANNOTATED])
    result = draw(sampler, truth, ignored, feats=[])
    assert context.num_forwards == 1
    # The labelled cell twice, as ground truth and as prior; the mined alike.
    positives = sorted(
        zip(result.pos_gt_labels.tolist(), result.pos_priors.tolist())
    )
    assert (
        positives
        == [(0, [60, 60, 70, 70])] * 2 + [(1, [120, 20, 130, 30])] * 2
    )
    assert (
        result.pos_gt_bboxes[result.pos_gt_labels == 1].tolist()
        == [[120, 20, 130, 30]] * 2
    )
    # All else is background, but for the doubtful one.
    negatives = result.neg_priors.tolist()
    assert [150, 50, 160, 60] not in negatives
    assert [20, 20, 30, 30] in negatives
    assert len(negatives) == 200 - 3


def mine_proposals_of(cells, truth):
    """Sample of proposals that are the cells the box head sees."""
    sampler = SparseRegionSampler(
        num=100,
        pos_fraction=0.25,
        self_mining=dict(score_thr=0.9),
        context=FixedRoIHead(cells),
        add_gt_as_proposals=False,
    )
    priors = torch.tensor([box for box, _, _ in cells])
    ignored = ignored_of([RIGHT_HALF], [UNANNOTATED])
    return draw(sampler, truth, ignored, priors, feats=[])


def test_self_mining_takes_one_box_a_cell():
    cells = [
        ([120.0, 20, 130, 30], 1, 0.95),
        ([121.0, 20, 131, 30], 2, 0.97),
        # A labelled cell reaches over here.
        ([95.0, 50, 105, 60], 1, 0.99),
    ]
    result = mine_proposals_of(cells, truth_of([[93, 50, 103, 60]], [0]))
    assert result.pos_inds.tolist() == [0, 1, 2]
    assert result.pos_gt_labels.tolist() == [2, 2, 0]


def test_a_self_mined_box_is_the_mean_of_all_on_the_cell():
    cells = [
        ([120.0, 20, 130, 30], 1, 0.6),
        ([123.0, 20, 133, 30], 1, 0.96),
        # Another cell, which touches them.
        ([130.0, 20, 140, 30], 2, 0.96),
    ]
    result = mine_proposals_of(cells, truth_of([], []))
    assert result.pos_inds.tolist() == [0, 1, 2]
    x1 = (120 * 0.6 + 123 * 0.96) / 1.56
    mean = [x1, 20, x1 + 10, 30]
    torch.testing.assert_close(
        result.pos_gt_bboxes, torch.tensor([mean, mean, cells[2][0]])
    )


def test_self_mining_scores_the_likeliest_proposals():
    sampler = SparseRegionSampler(
        num=400,
        pos_fraction=0.25,
        self_mining=dict(score_thr=0.9, max_per_img=7),
        context=FixedRoIHead(CELLS),
        add_gt_as_proposals=False,
    )
    priors = grid_priors()
    right = priors[:, 0] >= 100
    pred = InstanceData(priors=priors, scores=torch.linspace(1, 0, 200))
    is_cell = (priors == torch.tensor(CELLS[0][0])).all(dim=1)
    pred.scores[is_cell] = 1
    truth = truth_of([], [])
    ignored = ignored_of([RIGHT_HALF], [UNANNOTATED])
    assigned = RegionMaxIoUAssigner(**RCNN).assign(pred, truth, ignored)
    result = sampler.sample(assigned, pred, truth, feats=[])
    assert result.pos_priors.tolist() == [CELLS[0][0]]
    # Six more were scored, and are background; of the others nothing is said.
    assert in_right_half(result.neg_priors) == 6
    assert (result.neg_inds < right.nonzero()[7]).all()
    assert len(result.neg_inds) == (~right).sum() + 6


def test_self_mining_of_nothing():
    sampler = SparseRegionSampler(
        **SAMPLING, self_mining=dict(), context=FixedRoIHead([])
    )
    whole = ignored_of([[0.0, 0, 200, 100]], [UNANNOTATED])
    empty = torch.zeros((0, 4))
    result = draw(sampler, truth_of([], []), whole, empty, feats=[])
    assert len(result.pos_inds) == len(result.neg_inds) == 0


def test_self_mining_needs_a_roi_head():
    with pytest.raises(TypeError, match='expected a RoI head'):
        SparseRegionSampler(
            **SAMPLING, self_mining=dict(), context=torch.nn.Linear(1, 1)
        )


@pytest.mark.parametrize(
    'key',
    ['max_presence_probability', 'max_unannotated_neg_fraction', 'warmup'],
)
def test_shares_out_of_range(key):
    with pytest.raises(ValueError, match=rf'got {key}=2, expected'):
        SparseRegionSampler(**SAMPLING, **{key: 2})


def test_warm_up():
    context = FixedRoIHead(CELLS)
    sampler = SparseRegionSampler(
        num=400,
        pos_fraction=0.25,
        warmup=0.1,
        self_mining=dict(),
        context=context,
    )
    ignored = ignored_of([RIGHT_HALF], [UNANNOTATED], [0.0])
    hub = MessageHub.get_instance('test_warm_up')
    assert hub is MessageHub.get_current_instance()
    hub.update_info('loop_stage', 'train')
    hub.update_info('max_iters', 100)
    hub.update_info('iter', 9)
    result = draw(sampler, truth_of([], []), ignored, feats=[])
    assert context.num_forwards == in_right_half(result.priors) == 0
    hub.update_info('iter', 10)
    result = draw(sampler, truth_of([], []), ignored, feats=[])
    assert context.num_forwards == 1
    assert in_right_half(result.pos_priors) > 0
    assert in_right_half(result.neg_priors) > 0


def test_counts_reach_the_log():
    hub = MessageHub.get_instance('test_counts_reach_the_log')
    sampler = SparseRegionSampler(
        num=400, pos_fraction=0.25, log_interval=2, name='box'
    )
    truth = truth_of([[0, 0, 10, 10], [150, 50, 160, 60]], [1, 2], [1.0, 0.96])
    ignored = ignored_of(
        [RIGHT_HALF, [120.0, 20, 130, 30]],
        [UNANNOTATED, CANDIDATE],
        [0.0, 0.7],
    )
    draw(sampler, truth, ignored)
    assert 'train/box_ignored' not in hub.log_scalars
    draw(sampler, truth, ignored)
    logged = {
        key.removeprefix('train/box_'): value.current()
        for key, value in hub.log_scalars.items()
    }
    assert logged == dict(
        positives_labelled=2,
        positives_mined=2,
        negatives=197,
        negatives_unannotated=98,
        ignored=1,
        cells_mined=1,
        mined_score=pytest.approx(0.96),
    )
