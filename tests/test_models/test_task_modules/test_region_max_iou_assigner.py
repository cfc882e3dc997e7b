# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules import MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

from mmleuk.models.task_modules import RegionMaxIoUAssigner
from mmleuk.structures import (
    UNANNOTATED,
    cover_rectangles,
    ignored_instances,
    unannotated_area,
)

RPN = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)
RCNN = dict(
    pos_iou_thr=0.5,
    neg_iou_thr=0.5,
    min_pos_iou=0.5,
    match_low_quality=False,
)
SIZE = 64


def boxes_from(seed, count, least=4, most=30):
    random = np.random.default_rng(seed)
    low = random.integers(0, SIZE - least, (count, 2))
    size = random.integers(least, most, (count, 2))
    return torch.from_numpy(
        np.concatenate([low, np.minimum(low + size, SIZE)], 1)
    ).float()


def as_rows(boxes):
    return torch.as_tensor([] if boxes is None else boxes).reshape(-1, 4)


def assign(assigner, priors, truth, cells=None, rectangles=None, labels=True):
    cells, rectangles, truth = map(as_rows, (cells, rectangles, truth))
    ignored = InstanceData(bboxes=torch.cat([cells, rectangles]))
    if labels:
        ignored.labels = torch.tensor(
            [2] * len(cells) + [UNANNOTATED] * len(rectangles)
        )
    return assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=truth, labels=torch.arange(len(truth)) + 5),
        ignored,
    )


def same(one, other):
    return (
        torch.equal(one.gt_inds, other.gt_inds)
        and torch.equal(one.max_overlaps, other.max_overlaps)
        and torch.equal(one.labels, other.labels)
        and one.num_gts == other.num_gts
    )


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 60),
    st.integers(0, 4),
    st.integers(0, 2),
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([RPN, RCNN]),
)
def test_against_pixels(
    seed, num_priors, num_truth, num_cells, num_regions, threshold, config
):
    priors = boxes_from(seed, num_priors)
    truth = boxes_from(seed + 1, num_truth)
    cells = boxes_from(seed + 2, num_cells)
    regions = None
    if num_regions is not None:
        regions = boxes_from(seed + 3, num_regions, most=60).tolist()
    rectangles = cover_rectangles(unannotated_area(regions, (SIZE, SIZE)))
    # Truth that coincides with priors, so that there are true positives.
    priors = torch.cat([priors, truth[: num_truth // 2]])

    assigner = RegionMaxIoUAssigner(
        **config, ignore_iof_thr=0.5, bg_coverage_thr=threshold
    )
    result = assign(assigner, priors, truth, cells, rectangles)
    plain = assign(MaxIoUAssigner(**config), priors, truth)

    annotated = np.full((SIZE, SIZE), num_regions is None)
    for x1, y1, x2, y2 in np.array(regions or []).reshape(-1, 4).astype(int):
        annotated[y1:y2, x1:x2] = True
    expected = plain.gt_inds.tolist()
    for index, (x1, y1, x2, y2) in enumerate(priors.int().tolist()):
        if expected[index] != 0:
            continue
        coverage = annotated[y1:y2, x1:x2].mean()
        on_cell = False
        for a1, b1, a2, b2 in cells.int().tolist():
            inside = np.zeros((SIZE, SIZE), bool)
            inside[b1:b2, a1:a2] = True
            on_cell |= inside[y1:y2, x1:x2].mean() > 0.5
        if on_cell or coverage < threshold - 1e-4:
            expected[index] = -1
    assert result.gt_inds.tolist() == expected
    # Everything else is MMDetection's.
    plain.gt_inds = result.gt_inds
    assert same(result, plain)


@pytest.mark.parametrize('config', [RPN, RCNN])
@pytest.mark.parametrize('num_truth', [0, 3])
@pytest.mark.parametrize('num_priors', [0, 200])
def test_nothing_ignored_is_plain_mmdet(config, num_truth, num_priors):
    priors = boxes_from(0, num_priors)
    truth = boxes_from(1, num_truth)
    ours = RegionMaxIoUAssigner(**config)
    theirs = MaxIoUAssigner(**config)
    assert same(assign(ours, priors, truth), assign(theirs, priors, truth))
    truth = InstanceData(bboxes=truth, labels=torch.zeros(num_truth).long())
    priors = InstanceData(priors=priors)
    assert same(ours.assign(priors, truth), theirs.assign(priors, truth))


def test_positives_stay_wherever_they_lie():
    assigner = RegionMaxIoUAssigner(**RPN)
    whole = [[0.0, 0, SIZE, SIZE]]
    # The first fits; the second is only the best match of its cell.
    truth = torch.tensor([[0.0, 0, 20, 20], [40, 40, 60, 60]])
    priors = torch.tensor(
        [[0.0, 0, 20, 21], [45, 45, 65, 65], [0, 40, 20, 60]]
    )
    result = assign(assigner, priors, truth, cells=whole, rectangles=whole)
    assert result.gt_inds.tolist() == [1, 2, -1]
    assert result.labels.tolist() == [5, 6, -1]


def test_union_not_maximum():
    """Two tiles that cover half of a prior each."""
    tiles = [[0.0, 0, 10, 20], [10, 0, 20, 20]]
    priors = torch.tensor([[5.0, 5, 15, 15], [30, 30, 40, 40]])
    assigner = RegionMaxIoUAssigner(**RCNN, bg_coverage_thr=0.4)
    result = assign(assigner, priors, None, rectangles=tiles)
    assert result.gt_inds.tolist() == [-1, 0]
    # Of cells it is the maximum, as in MMDetection.
    assigner = RegionMaxIoUAssigner(**RCNN, ignore_iof_thr=0.6)
    result = assign(assigner, priors, None, cells=tiles)
    assert result.gt_inds.tolist() == [0, 0]


def test_threshold_of_one_wants_all():
    assigner = RegionMaxIoUAssigner(**RCNN, bg_coverage_thr=1)
    priors = torch.tensor([[10.0, 0, 20, 10], [9.9, 0, 20, 10]])
    result = assign(assigner, priors, None, rectangles=[[0, 0, 10, 64]])
    assert result.gt_inds.tolist() == [0, -1]


def test_negative_iof_threshold_leaves_cells_background():
    priors = torch.tensor([[0.0, 0, 10, 10]])
    assigner = RegionMaxIoUAssigner(**RCNN, ignore_iof_thr=-1)
    assert assign(assigner, priors, None, cells=priors).gt_inds.tolist() == [0]


def test_iof_with_respect_to_cells():
    priors = torch.tensor([[0.0, 0, 40, 40]])
    cells = [[0.0, 0, 10, 10]]
    for of_prior, expected in ((True, 0), (False, -1)):
        assigner = RegionMaxIoUAssigner(**RCNN, ignore_wrt_candidates=of_prior)
        result = assign(assigner, priors, None, cells=cells)
        assert result.gt_inds.tolist() == [expected]


def test_un_annotated_rectangles_are_not_compared_one_by_one(monkeypatch):
    """Of many rectangles, those that are ignored cells alone count as such."""
    compared = []

    def note(boxes, others):
        compared.append(len(others))
        return shared_areas(boxes, others)

    shared_areas = ignored_instances._shared_areas
    monkeypatch.setattr(ignored_instances, '_shared_areas', note)
    rectangles = [[float(x), 0, x + 1, 64] for x in range(32)]
    assigner = RegionMaxIoUAssigner(**RCNN, ignore_iof_thr=0.5)
    assign(
        assigner,
        boxes_from(0, 50),
        boxes_from(1, 2),
        cells=[[40.0, 40, 60, 60]],
        rectangles=rectangles,
    )
    # Once as cells, once as un-annotated area.
    assert compared == [1, 32]


def test_ignored_without_labels_are_cells():
    priors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 40, 40]])
    assigner = RegionMaxIoUAssigner(**RCNN)
    result = assign(
        assigner, priors, None, cells=[[0.0, 0, 10, 10]], labels=False
    )
    assert result.gt_inds.tolist() == [-1, 0]


def test_resolves_without_import_from_a_config():
    assigner = TASK_UTILS.build(
        dict(type='mmleuk.RegionMaxIoUAssigner', **RPN, bg_coverage_thr=0.8)
    )
    assert type(assigner) is RegionMaxIoUAssigner
    assert assigner.rule.bg_coverage_thr == 0.8


@pytest.mark.parametrize('threshold', [-0.1, 1.1])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r'expected a share in \[0, 1\]'):
        RegionMaxIoUAssigner(**RPN, bg_coverage_thr=threshold)
