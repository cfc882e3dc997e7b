# Copyright (c) mmleuk authors. All rights reserved.
import copy
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

SCHEMA = [
    dict(name='size', values=('small', 'medium', 'large')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]
NUM_VALUES = 5
IMG_SHAPE = (64, 96)


def extractor(size=7, **kwargs):
    return dict(
        type='mmleuk.RobustSingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=8,
        featmap_strides=[4, 8],
        **kwargs,
    )


def bbox_head(stds=(0.1, 0.1, 0.2, 0.2)):
    return dict(
        type='Shared2FCBBoxHead',
        in_channels=8,
        fc_out_channels=16,
        roi_feat_size=7,
        num_classes=3,
        reg_class_agnostic=True,
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0] * 4,
            target_stds=list(stds),
        ),
    )


def rcnn(iou=0.5):
    return dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=iou,
            neg_iou_thr=iou,
            min_pos_iou=iou,
            match_low_quality=False,
        ),
        sampler=dict(
            type='RandomSampler',
            num=32,
            pos_fraction=0.25,
            add_gt_as_proposals=True,
        ),
        pos_weight=-1,
        debug=False,
    )


def head_cfg(cascade=False, **kwargs):
    cfg = dict(
        type='mmleuk.AttributeRoIHead',
        bbox_roi_extractor=extractor(),
        bbox_head=bbox_head(),
        attribute_roi_extractor=extractor(14),
        attribute_head=dict(
            type='mmleuk.AttributeHead',
            attributes=SCHEMA,
            in_channels=8,
            num_convs=1,
            conv_channels=8,
            fc_channels=16,
        ),
        train_cfg=rcnn(),
        test_cfg=dict(
            score_thr=0.0,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=10,
        ),
    )
    if cascade:
        cfg.update(
            type='mmleuk.CascadeAttributeRoIHead',
            num_stages=2,
            stage_loss_weights=[1, 0.5],
            bbox_head=[bbox_head(), bbox_head((0.05, 0.05, 0.1, 0.1))],
            train_cfg=[rcnn(), rcnn(0.6)],
        )
    cfg.update(kwargs)
    return ConfigDict(cfg)


def make_features(batch_size=2, dtype=torch.float32):
    height, width = IMG_SHAPE
    return tuple(
        torch.rand(batch_size, 8, height // s, width // s, dtype=dtype)
        for s in (4, 8)
    )


def make_sample(num_cells, codes=None, scale_factor=(0.5, 0.5)):
    corners = torch.rand(num_cells, 2) * 30
    boxes = torch.cat([corners, corners + 20 + torch.rand(num_cells, 2)], 1)
    if codes is None:
        codes = torch.randint(0, 2, (num_cells, 2))
    sample = DetDataSample(
        metainfo=dict(
            img_shape=IMG_SHAPE,
            ori_shape=(128, 192),
            scale_factor=scale_factor,
            img_path='field.png',
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=boxes,
        labels=torch.randint(0, 3, (num_cells,)),
        attributes=codes,
    )
    return sample


def make_proposals(num):
    corners = torch.rand(num, 2) * 40
    return InstanceData(
        bboxes=torch.cat([corners, corners + 15], dim=1),
        scores=torch.rand(num),
    )


@pytest.fixture(autouse=True)
def _modules():
    register_all_modules()
    torch.manual_seed(0)


def total(losses):
    return sum(
        sum(value) if isinstance(value, list) else value
        for key, value in losses.items()
        if 'loss' in key
    )


@pytest.mark.parametrize('cascade', [False, True])
@pytest.mark.parametrize('rois', ['positive', 'gt'])
@pytest.mark.parametrize('cells', [(2, 3), (0, 2), (0, 0)])
@pytest.mark.parametrize('proposals', [(20, 20), (0, 20), (0, 0)])
@pytest.mark.parametrize('amp', [False, True])
def test_loss_and_predict(cascade, rois, cells, proposals, amp):
    head = MODELS.build(head_cfg(cascade, attribute_rois=rois))
    head.init_weights()
    samples = [make_sample(n) for n in cells]
    dtype = torch.bfloat16 if amp else torch.float32
    feats = make_features(dtype=dtype)
    autocast = torch.autocast('cpu', torch.bfloat16, enabled=amp)
    with autocast:
        losses = head.loss(
            feats, [make_proposals(n) for n in proposals], samples
        )
        loss = total(losses)
    loss.backward()
    assert loss.isfinite()
    if sum(cells) == 0:
        assert losses['loss_attribute'] == 0
    else:
        assert losses['loss_attribute'] > 0
    for name, parameter in head.named_parameters():
        # MMDetection leaves further stages out where one has no RoI.
        if not name.startswith('bbox_head.1.'):
            assert parameter.grad is not None, name

    head.eval()
    with torch.no_grad(), autocast:
        results = head.predict(
            feats, [make_proposals(n) for n in proposals], samples, True
        )
    for result, num in zip(results, proposals):
        assert result.attribute_labels.shape == (len(result), 2)
        assert result.attribute_scores.shape == (len(result), 2)
        assert result.attribute_probs.shape == (len(result), NUM_VALUES)
        assert (len(result) > 0) == (num > 0)


def test_mixed_labelled_and_unlabelled_images():
    """An image without codes adds nothing to the attribute loss."""
    head = MODELS.build(head_cfg(attribute_rois='gt'))
    feats = make_features()
    labelled = make_sample(3)
    unlabelled = make_sample(2, codes=torch.full((2, 2), -1))
    both = head.attribute_loss(feats, [None] * 2, [labelled, unlabelled])
    alone = head.attribute_loss(
        tuple(f[:1] for f in feats), [None], [labelled]
    )
    torch.testing.assert_close(both['loss_attribute'], alone['loss_attribute'])


def test_each_roi_learns_the_codes_of_its_own_cell():
    """The targets follow the assignment, not the order of the cells."""
    head = MODELS.build(head_cfg())
    sample = make_sample(0)
    boxes = torch.tensor([[0.0, 0, 20, 20], [40, 30, 60, 55]])
    sample.gt_instances = InstanceData(
        bboxes=boxes,
        labels=torch.tensor([0, 1]),
        attributes=torch.tensor([[0, -1], [2, 1]]),
    )
    proposals = InstanceData(
        bboxes=torch.tensor([[40.0, 31, 60, 55], [1, 0, 20, 20]]),
        scores=torch.ones(2),
    )
    seen = {}
    loss = head.attribute_head.loss

    def spy(logits, targets):
        seen['targets'] = targets
        return loss(logits, targets)

    forward = head.attribute_roi_extractor.forward

    def spy_rois(feats, rois, *args):
        seen['rois'] = rois
        return forward(feats, rois, *args)

    head.attribute_head.loss = spy
    head.attribute_roi_extractor.forward = spy_rois
    head.loss(make_features(1), [proposals], [sample])
    assert len(seen['rois']) == 4  # two proposals and the two cells
    for roi, codes in zip(seen['rois'], seen['targets'].tolist()):
        expected = [0, -1] if roi[1] < 20 else [2, 1]
        assert codes == expected


@pytest.mark.parametrize('cascade', [False, True])
def test_cells_without_attributes_teach_types_alone(cascade):
    """As WBCAtt's myelocytes: a box and a type, and no attribute."""
    head = MODELS.build(head_cfg(cascade))
    head.init_weights()
    sample = make_sample(3, codes=torch.full((3, 2), -1))
    losses = head.loss(make_features(1), [make_proposals(20)], [sample])
    assert losses['loss_attribute'] == 0
    total(losses).backward()
    bbox_head = head.bbox_head[0] if cascade else head.bbox_head
    assert bbox_head.fc_cls.weight.grad.abs().sum() > 0
    assert bbox_head.fc_reg.weight.grad.abs().sum() > 0
    for name, parameter in head.attribute_head.named_parameters():
        assert parameter.grad.abs().sum() == 0, name


def test_cells_without_attributes_change_no_attribute_gradient():
    head = MODELS.build(head_cfg(attribute_rois='gt'))
    head.init_weights()
    described = make_sample(2, codes=torch.tensor([[0, 1], [2, 0]]))
    both = make_sample(3)
    both.gt_instances = InstanceData.cat(
        [
            described.gt_instances,
            make_sample(3, codes=torch.full((3, 2), -1)).gt_instances,
        ]
    )
    feats, gradients = make_features(1), []
    for sample in (described, both):
        head.zero_grad()
        loss = head.attribute_loss(
            feats,
            [SimpleNamespace(num_gts=len(sample.gt_instances))],
            [sample],
        )['loss_attribute']
        loss.backward()
        gradients.append(
            [p.grad.clone() for p in head.attribute_head.parameters()]
        )
    for alone, among in zip(*gradients):
        torch.testing.assert_close(alone, among)


@pytest.mark.parametrize('rois', ['positive', 'gt'])
def test_rois_to_learn_from_are_jittered(rois):
    seen = []
    for settings in (
        {},
        dict(attribute_center_std=0.1),
        dict(attribute_size_std=0.1),
    ):
        head = MODELS.build(head_cfg(attribute_rois=rois, **settings))
        sample = make_sample(0)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[20.0, 20, 40, 40]]),
            labels=torch.tensor([1]),
            attributes=torch.tensor([[0, 1]]),
        )
        sampled = SimpleNamespace(
            pos_priors=sample.gt_instances.bboxes,
            pos_assigned_gt_inds=torch.tensor([0]),
            num_gts=1,
        )
        head.attribute_logits = lambda x, boxes, metas: (
            seen.append(boxes[0]) or torch.zeros(1, NUM_VALUES)
        )
        head.attribute_loss(make_features(1), [sampled], [sample])
    plain, moved, scaled = (boxes[0] for boxes in seen)
    assert plain.tolist() == [20, 20, 40, 40]
    torch.testing.assert_close(moved[2:] - moved[:2], torch.full((2,), 20.0))
    assert (moved - plain).abs().min() > 0
    torch.testing.assert_close(
        (scaled[2:] + scaled[:2]) / 2, torch.full((2,), 30.0)
    )
    assert (scaled - plain).abs().min() > 0


def test_attributes_read_boxes_before_rescaling():
    head = MODELS.build(head_cfg()).eval()
    feats, samples = make_features(1), [make_sample(0)]
    proposals = make_proposals(12)
    with torch.no_grad():
        plain = head.predict(
            feats, [copy.deepcopy(proposals)], samples, rescale=False
        )[0]
        rescaled = head.predict(
            feats, [copy.deepcopy(proposals)], samples, rescale=True
        )[0]
        x = head.attribute_roi_extractor(feats, bbox2roi([plain.bboxes]))
        sides = (plain.bboxes[:, 2:] - plain.bboxes[:, :2]) / 0.5
        direct = head.attribute_head.predict(head.attribute_head(x, sides))
    torch.testing.assert_close(rescaled.bboxes, plain.bboxes * 2)
    for name in ('attribute_probs', 'attribute_scores', 'attribute_labels'):
        torch.testing.assert_close(rescaled[name], plain[name])
        torch.testing.assert_close(plain[name], direct[name])


@pytest.mark.parametrize('cascade', [False, True])
def test_boxes_are_those_of_the_parent(cascade):
    """Attributes change neither boxes nor scores of the same weights."""
    cfg = head_cfg(cascade)
    head = MODELS.build(cfg).eval()
    plain_cfg = {k: v for k, v in cfg.items() if 'attribute' not in k}
    plain_cfg['type'] = 'CascadeRoIHead' if cascade else 'StandardRoIHead'
    plain = MODELS.build(ConfigDict(plain_cfg)).eval()
    plain.load_state_dict(head.state_dict(), strict=False)
    feats = make_features()
    samples = [make_sample(0, scale_factor=(0.5, 0.25)) for _ in range(2)]
    proposals = [make_proposals(9), make_proposals(15)]
    with torch.no_grad():
        ours = head.predict(feats, copy.deepcopy(proposals), samples, True)
        theirs = plain.predict(feats, copy.deepcopy(proposals), samples, True)
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one.bboxes, other.bboxes)
        torch.testing.assert_close(one.scores, other.scores)
        assert (one.labels == other.labels).all()


@pytest.mark.parametrize('cascade', [False, True])
def test_extractor_can_be_shared(cascade):
    head = MODELS.build(head_cfg(cascade, attribute_roi_extractor=None))
    boxes = head.bbox_roi_extractor
    shared = boxes[-1] if cascade else boxes
    assert head.attribute_roi_extractor is shared
    losses = head.loss(
        make_features(),
        [make_proposals(9), make_proposals(9)],
        [make_sample(2), make_sample(2)],
    )
    assert losses['loss_attribute'] > 0


def test_raw_scores_without_test_cfg():
    """Callers that ask for raw scores get what the parent gives."""
    head = MODELS.build(head_cfg()).eval()
    results = head.predict_bbox(
        make_features(1),
        [make_sample(0).metainfo],
        [make_proposals(5)],
        rcnn_test_cfg=None,
    )
    assert results[0].scores.shape == (5, 4)
    assert 'attribute_probs' not in results[0]


def test_tensor_mode():
    head = MODELS.build(head_cfg())
    outputs = head.forward(
        make_features(),
        [make_proposals(4), make_proposals(3)],
        [make_sample(0), make_sample(0)],
    )
    assert outputs[-1].shape == (7, NUM_VALUES)


def test_early_features():
    from mmleuk.models.necks import FeaturePyramid

    cfg = head_cfg(
        attribute_source='early',
        attribute_rois='gt',
        attribute_roi_extractor=dict(
            type='mmleuk.RobustGenericRoIExtractor',
            aggregation='concat',
            roi_layer=dict(type='RoIAlign', output_size=(24, 30)),
            out_channels=5,
            featmap_strides=[4, 8],
        ),
        attribute_head=dict(
            type='mmleuk.AttriDetHead', attributes=SCHEMA, in_channels=5
        ),
    )
    head = MODELS.build(cfg)
    early = (
        torch.rand(1, 2, 16, 24, requires_grad=True),
        torch.rand(1, 3, 8, 12, requires_grad=True),
    )
    feats = make_features(1)
    sample = make_sample(2)
    losses = head.attribute_loss(
        FeaturePyramid(feats, early), [None], [sample]
    )
    losses['loss_attribute'].backward()
    assert all(feat.grad.abs().sum() > 0 for feat in early)
    with pytest.raises(TypeError, match='EarlyFeatureNeck'):
        head.attribute_loss(feats, [None], [sample])


def test_missing_or_foreign_attributes_are_named():
    head = MODELS.build(head_cfg())
    sample = make_sample(2)
    del sample.gt_instances.attributes
    with pytest.raises(KeyError, match=r'field.png.*PackLLDInputs'):
        head.attribute_loss(make_features(1), [None], [sample])
    sample = make_sample(2, codes=torch.zeros(2, 7, dtype=torch.long))
    with pytest.raises(ValueError, match=r'field.png.*7 attributes.*2'):
        head.attribute_loss(make_features(1), [None], [sample])


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(attribute_source='stem'),
        dict(attribute_rois='all'),
        dict(attribute_size_std=-0.1),
    ],
)
def test_bad_options_are_named(kwargs):
    with pytest.raises(ValueError, match=f"{list(kwargs)[0]}=['-]"):
        MODELS.build(head_cfg(**kwargs))


def test_positive_rois_can_be_limited():
    """A random few of each image, with the codes of their own cells."""
    head = MODELS.build(head_cfg(attribute_max_rois=3))
    samples = [make_sample(2), make_sample(1)]
    samples[0].gt_instances.attributes[:] = torch.tensor([[0, 0], [2, 1]])
    samples[1].gt_instances.attributes[:] = 1
    gt_inds = torch.tensor([0, 1, 1, 0, 1, 0])
    sampled = [
        SimpleNamespace(
            pos_priors=samples[0].gt_instances.bboxes[gt_inds],
            pos_assigned_gt_inds=gt_inds,
            num_gts=len(samples[0].gt_instances),
        ),
        SimpleNamespace(
            pos_priors=samples[1].gt_instances.bboxes,
            pos_assigned_gt_inds=torch.tensor([0]),
            num_gts=len(samples[1].gt_instances),
        ),
    ]
    seen = {}

    def spy(feats, sizes):
        seen['sizes'] = sizes
        return torch.zeros(len(sizes), NUM_VALUES, requires_grad=True)

    head.attribute_head.forward = spy
    loss = head.attribute_head.loss

    def spy_targets(logits, targets):
        seen['targets'] = targets
        return loss(logits, targets)

    head.attribute_head.loss = spy_targets
    head.attribute_loss(make_features(), sampled, samples)
    assert len(seen['targets']) == 3 + 1
    for size, codes in zip(seen['sizes'][:3], seen['targets'][:3].tolist()):
        box = samples[0].gt_instances.bboxes[1 if codes == [2, 1] else 0]
        torch.testing.assert_close(size, (box[2:] - box[:2]) / 0.5)
