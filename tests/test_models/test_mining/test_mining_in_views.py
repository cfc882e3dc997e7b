# Copyright (c) mmleuk authors. All rights reserved.
"""What is mined in fields that MMDetection's transforms have changed."""

import mmdet.datasets.transforms  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData

from mmleuk.datasets.transforms import LoadLLDAnnotations, PackLLDInputs
from mmleuk.models.mining import RegionMiner
from mmleuk.models.task_modules import (
    RegionMaxIoUAssigner,
    SparseRegionPseudoSampler,
)
from mmleuk.structures import UNANNOTATED, covered_share

SIZE = 200
REGION = [0.0, 0, 80, 200]
LABELLED, HIDDEN = [20, 90, 40, 110], [90, 90, 110, 110]


@pytest.fixture(autouse=True)
def _mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def make_field(path='a.png'):
    """A field with a labelled and a hidden cell; only that one is drawn."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    x1, y1, x2, y2 = HIDDEN
    image[y1:y2, x1:x2] = 255
    return dict(
        img=image,
        img_path=path,
        img_shape=(SIZE, SIZE),
        ori_shape=(SIZE, SIZE),
        annotated_regions=[REGION],
        instances=[
            dict(bbox=LABELLED, bbox_label=0, ignore_flag=0),
        ],
    )


def make_miner(boxes, paths=('a.png',)):
    """A miner whose teacher has found these boxes, and is always right."""
    miner = RegionMiner(num_classes=1, hold_out=dict(share=1))
    for path in paths:
        looked_at = DetDataSample(metainfo=make_field(path))
        looked_at.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes).float(),
            labels=torch.zeros(len(boxes)).long(),
            scores=torch.full((len(boxes),), 0.999),
        )
        miner.store(looked_at, held_out=True)
    miner.calibrate()
    return miner


def load(path='a.png'):
    """A field as most pipelines begin."""
    resize = dict(type='Resize', scale=(SIZE, SIZE), keep_ratio=True)
    return TRANSFORMS.build(resize)(LoadLLDAnnotations()(make_field(path)))


def pack(results):
    """The sample as the data preprocessor passes it on."""
    sample = PackLLDInputs()(results)['data_samples']
    for instances in (sample.gt_instances, sample.ignored_instances):
        instances.bboxes = instances.bboxes.tensor
    return sample


@pytest.mark.parametrize(
    'config',
    [
        dict(type='Expand', ratio_range=(2, 3), prob=1.0),
        dict(type='RandomAffine', border_val=(0, 0, 0)),
        dict(type='RandomShift', prob=1.0, max_shift_px=60),
        dict(type='Rotate', prob=1.0, img_border_value=0),
        dict(type='RandomCrop', crop_size=(190, 190)),
        dict(type='Resize', scale=(120, 160), keep_ratio=False),
    ],
)
def test_a_mined_cell_lies_where_it_is_seen(config):
    miner = make_miner([LABELLED, HIDDEN])
    for seed in range(8):
        set_random_seed(seed)
        results = TRANSFORMS.build(config)(load())
        sample = pack(results)
        num_labelled = len(sample.gt_instances)
        miner.label([sample])
        y, x = (results['img'][..., 0] > 127).nonzero()
        seen = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        (box,) = sample.gt_instances.bboxes[num_labelled:].tolist()
        assert box == pytest.approx(seen, abs=2)


def num_drawn(sample):
    """Number of priors on un-annotated area, and of them as background."""
    x, y = np.meshgrid(np.arange(0, SIZE - 20, 8), np.arange(0, SIZE - 20, 8))
    corners = torch.tensor(np.stack([x, y], 2).reshape(-1, 2)).float()
    priors = InstanceData(priors=torch.cat([corners, corners + 20], dim=1))
    ignored = sample.ignored_instances
    assigned = RegionMaxIoUAssigner(
        pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5
    ).assign(priors, sample.gt_instances, ignored)
    sampled = SparseRegionPseudoSampler().sample(
        assigned, priors, sample.gt_instances
    )
    rectangles = ignored.bboxes[ignored.labels == UNANNOTATED]
    is_outside = covered_share(priors.priors, rectangles) > 0.5
    drawn = is_outside[sampled.neg_inds]
    return int(is_outside.sum()), int(drawn.sum())


def test_nothing_is_background_where_two_fields_are_blended():
    """A field without hidden cells, and one of which nothing is known."""
    miner = make_miner([LABELLED])
    assert miner.unseen_probability < 0.1
    alone, mixed = load(), load()
    mixed['mix_results'] = [load('b.png')]
    mix_up = dict(type='MixUp', img_scale=(SIZE, SIZE), ratio_range=(1, 1))
    alone, mixed = pack(alone), pack(TRANSFORMS.build(mix_up)(mixed))
    assert len(mixed.gt_instances) == 2
    torch.manual_seed(0)
    miner.label([alone, mixed])
    num_outside, num_background = num_drawn(alone)
    assert num_background > num_outside / 2
    num_outside, num_background = num_drawn(mixed)
    assert num_outside > 100
    assert num_background == 0
    assert len(mixed.gt_instances) == 2


@pytest.mark.parametrize(
    'config',
    [
        dict(type='CachedMosaic', img_scale=(SIZE, SIZE)),
        dict(type='mmleuk.CachedRegionMosaic', img_scale=(SIZE, SIZE)),
    ],
)
def test_mosaics_are_not_mined(config):
    miner = make_miner([LABELLED, HIDDEN])
    mosaic = TRANSFORMS.build(config)
    for _ in range(6):
        results = mosaic(load())
    sample = pack(results)
    before = sample.gt_instances.bboxes.clone()
    miner.label([sample])
    assert torch.equal(sample.gt_instances.bboxes, before)
    assert 'probs' not in sample.ignored_instances
