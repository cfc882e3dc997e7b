# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.models.detectors import PAA
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from tiny_dense_detectors import (
    DETECTORS,
    NUM_CLASSES,
    SCHEMA,
    attribute_cfg,
    build,
    plain_cfg,
)

from mmleuk.models.detectors import AttributeDetectorMixin
from mmleuk.registry import MODELS
from mmleuk.structures import MISSING

NUM_VALUES = 5
FIELDS = ('attribute_labels', 'attribute_scores', 'attribute_probs')
SHAPE = (64, 96)


def make_sample(num_cells=2, codes=None, scale_factor=(0.5, 0.25)):
    sample = DetDataSample(
        metainfo=dict(
            img_shape=SHAPE,
            pad_shape=SHAPE,
            batch_input_shape=SHAPE,
            ori_shape=(256, 192),
            scale_factor=scale_factor,
            img_path='field.png',
        )
    )
    corners = torch.rand(num_cells, 2) * 30
    if codes is None:
        codes = torch.arange(num_cells)[:, None].expand(-1, 2) % 2
    sample.gt_instances = InstanceData(
        bboxes=torch.cat([corners, corners + 25], dim=1),
        labels=torch.arange(num_cells) % NUM_CLASSES,
        attributes=codes,
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.tensor([[60.0, 20, 90, 50]]),
        labels=torch.tensor([0]),
        attributes=torch.ones(1, 2).long(),
    )
    return sample


@pytest.fixture(autouse=True)
def _step(monkeypatch):
    # YOLOX counts steps, TOOD epochs.
    hub = MessageHub.get_current_instance()
    for name in ('iter', 'epoch'):
        monkeypatch.setitem(hub.runtime_info, name, 0)


def total(losses):
    return sum(
        sum(value) if isinstance(value, list) else value
        for key, value in losses.items()
        if 'loss' in key
    )


@pytest.mark.parametrize('early', [False, True])
@pytest.mark.parametrize('name', DETECTORS)
def test_all_learn_from_one_step(name, early):
    model = build(attribute_cfg(name, early)).train()
    samples = [make_sample(2), make_sample(0)]
    losses = model.loss(torch.rand(2, 3, *SHAPE), samples)
    assert losses['loss_attribute'] > 0
    assert total(losses).isfinite()
    losses['loss_attribute'].backward()
    for key, parameter in model.named_parameters():
        if key.startswith('attribute_'):
            assert parameter.grad.abs().sum() > 0, key
    # To the backbone, and through the neck's levels that are pooled.
    reached = {
        key.split('.')[0]
        for key, p in model.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    assert {'backbone', 'neck'} <= reached
    assert model._passes is None


@pytest.mark.parametrize('name', ['ATSS', 'RTMDet', 'DINO'])
def test_losses_of_the_detector_are_those_of_mmdet(name):
    model = build(attribute_cfg(name)).train()
    plain = build(plain_cfg(name), seed=1).train()
    load_plain(plain, model)
    inputs = torch.rand(2, 3, *SHAPE)
    losses = []
    for one in (plain, model):
        torch.manual_seed(0)
        samples = [make_sample(3), make_sample(1)]
        losses.append(one.loss(inputs, samples))
    assert set(losses[1]) - set(losses[0]) == {
        'loss_attribute',
        'acc_attribute',
    }
    for key, value in losses[0].items():
        other = losses[1][key]
        pairs = (
            zip(value, other) if isinstance(value, list) else [(value, other)]
        )
        assert all(torch.equal(a, b) for a, b in pairs)


def load_plain(plain, model):
    """Load a model's weights into the plain detector; it has no others."""
    state = {
        key: value
        for key, value in model.state_dict().items()
        if not key.startswith('attribute_')
    }
    plain.load_state_dict(state, strict=True)


@pytest.mark.parametrize('rescale', [False, True])
@pytest.mark.parametrize('name', DETECTORS)
@torch.no_grad()
def test_detections_are_those_of_mmdet_to_the_bit(name, rescale):
    model = build(attribute_cfg(name)).eval()
    plain = build(plain_cfg(name), seed=1).eval()
    load_plain(plain, model)
    inputs = torch.rand(2, 3, *SHAPE)
    results = []
    for one in (plain, model):
        one.bbox_head.test_cfg.score_thr = 0.0
        samples = [make_sample(), make_sample(scale_factor=(0.3, 0.7))]
        results.append(one.predict(inputs, samples, rescale=rescale))
    for theirs, ours in zip(*results):
        theirs, ours = theirs.pred_instances, ours.pred_instances
        assert len(theirs) > 0
        assert set(ours.keys()) == {*theirs.keys(), *FIELDS}
        for key, value in theirs.items():
            assert torch.equal(value, ours[key])
        n = len(ours)
        assert ours.attribute_labels.shape == (n, 2)
        assert ours.attribute_labels.dtype == torch.int64
        assert ours.attribute_scores.shape == (n, 2)
        assert ours.attribute_scores.dtype == torch.float32
        assert ours.attribute_probs.shape == (n, NUM_VALUES)
        torch.testing.assert_close(
            ours.attribute_probs[:, :3].sum(dim=1), torch.ones(n)
        )
    assert model._passes is None


@torch.no_grad()
def test_attributes_read_boxes_in_the_networks_input():
    model = build(attribute_cfg('RTMDet')).eval()
    inputs, sample = torch.rand(1, 3, *SHAPE), make_sample()
    (result,) = model.predict(inputs, [sample], rescale=True)
    found = result.pred_instances
    boxes = found.bboxes * torch.tensor([0.5, 0.25, 0.5, 0.25])
    extract = model.attribute_roi_extractor
    feats = extract(model.extract_feat(inputs)[:2], bbox2roi([boxes]))
    sides = found.bboxes[:, 2:] - found.bboxes[:, :2]
    expected = model.attribute_head.predict(model.attribute_head(feats, sides))
    for name in FIELDS:
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize('name', ['RetinaNet', 'RTMDet', 'DINO'])
@torch.no_grad()
def test_images_without_detections(name):
    model = build(attribute_cfg(name)).eval()
    model.bbox_head.test_cfg.update(score_thr=1.0, max_per_img=0)
    (result,) = model.predict(torch.rand(1, 3, *SHAPE), [make_sample()])
    found = result.pred_instances
    assert len(found) == 0
    assert found.attribute_labels.shape == (0, 2)
    assert found.attribute_probs.shape == (0, NUM_VALUES)


@pytest.mark.parametrize('name', ['ATSS', 'YOLOX', 'DINO'])
def test_a_batch_without_cells_reaches_all_parameters(name):
    model = build(attribute_cfg(name)).train()
    samples = [make_sample(0), make_sample(0)]
    losses = model.loss(torch.rand(2, 3, *SHAPE), samples)
    assert losses['loss_attribute'] == 0
    assert losses['acc_attribute'] == 0
    total(losses).backward()
    for key, parameter in model.named_parameters():
        if key.startswith('attribute_'):
            assert parameter.grad is not None, key


def attribute_loss(model, sample):
    torch.manual_seed(0)
    x = tuple(torch.rand(1, 32, SHAPE[0] // s, SHAPE[1] // s) for s in (8, 16))
    return model.attribute_loss(x, [sample])['loss_attribute']


def test_ignored_cells_and_missing_codes_never_teach():
    model = build(attribute_cfg('ATSS'))
    sample = make_sample(2, torch.tensor([[0, 1], [2, MISSING]]))
    loss = attribute_loss(model, sample)
    sample.ignored_instances.attributes[:] = 0
    assert torch.equal(attribute_loss(model, sample), loss)
    sample.gt_instances.attributes[:] = MISSING
    assert attribute_loss(model, sample) == 0


def spy_on_boxes(model, sample):
    """The boxes that a step learns from, and their codes."""
    seen = {}
    loss, logits = model.attribute_head.loss, model.attribute_logits

    def spy_loss(values, targets):
        seen['codes'] = targets
        return loss(values, targets)

    def spy_logits(x, boxes, metas):
        seen['boxes'] = torch.cat(boxes)
        return logits(x, boxes, metas)

    model.attribute_head.loss, model.attribute_logits = spy_loss, spy_logits
    attribute_loss(model, sample)
    return seen['boxes'], seen['codes']


def test_boxes_deviate_as_the_settings_say():
    model = build(
        attribute_cfg(
            'ATSS',
            attribute_center_std=0.1,
            attribute_size_std=0.2,
            attribute_copies=3000,
        )
    )
    sample = make_sample(2, torch.tensor([[0, 0], [2, 1]]))
    # Far from the border, where boxes are cut off.
    sample.set_metainfo(dict(img_shape=(1000, 1000)))
    truth = torch.tensor([[300.0, 300, 320, 340], [500, 600, 590, 610]])
    sample.gt_instances.bboxes = truth
    boxes, codes = spy_on_boxes(model, sample)
    assert codes.tolist() == [[0, 0], [2, 1]] * 3000
    for box, jittered in zip(truth, boxes.view(3000, 2, 4).unbind(1)):
        sides = box[2:] - box[:2]
        shifts = (jittered[:, :2] + jittered[:, 2:] - box[:2] - box[2:]) / 2
        factors = ((jittered[:, 2:] - jittered[:, :2]) / sides).log()
        for values, std in ((shifts / sides, 0.1), (factors, 0.2)):
            assert values.mean(dim=0).abs().max() < 0.02
            torch.testing.assert_close(
                values.std(dim=0), torch.full((2,), std), atol=0.01, rtol=0
            )


def test_boxes_without_noise_are_the_labelled_ones():
    model = build(
        attribute_cfg(
            'ATSS',
            attribute_center_std=0.0,
            attribute_size_std=0.0,
            attribute_copies=1,
        )
    )
    sample = make_sample(3)
    boxes, _ = spy_on_boxes(model, sample)
    torch.testing.assert_close(boxes, sample.gt_instances.bboxes)


def test_boxes_stay_in_the_image():
    model = build(attribute_cfg('ATSS', attribute_copies=50))
    sample = make_sample(1)
    sample.gt_instances.bboxes = torch.tensor([[0.0, 0, 96, 64]])
    boxes, _ = spy_on_boxes(model, sample)
    assert boxes.min() == 0
    assert boxes[:, 2].max() == 96
    assert boxes[:, 3].max() == 64


def test_tensor_mode_is_that_of_mmdet():
    model = build(attribute_cfg('RTMDet')).eval()
    plain = build(plain_cfg('RTMDet'), seed=1).eval()
    load_plain(plain, model)
    inputs = torch.rand(1, 3, *SHAPE)
    with torch.no_grad():
        ours = model.forward(inputs, mode='tensor')
        theirs = plain.forward(inputs, mode='tensor')
    for one, other in zip(ours, theirs):
        assert all(torch.equal(a, b) for a, b in zip(one, other))
    assert model._passes is None


@pytest.mark.parametrize('name', ['RTMDet', 'DINO'])
def test_mixed_precision(name):
    model = build(attribute_cfg(name, early=True)).train()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(torch.rand(1, 3, *SHAPE), [make_sample()])
    assert total(losses).isfinite()
    total(losses).backward()
    if name == 'RTMDet':
        # MMCV's NMS has no bfloat16 kernel, for MMDetection neither.
        return
    model.eval()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        (result,) = model.predict(torch.rand(1, 3, *SHAPE), [make_sample()])
    assert result.pred_instances.attribute_probs.dtype == torch.float32


def test_features_are_given_up_if_a_step_fails():
    model = build(attribute_cfg('ATSS'))
    with pytest.raises(AttributeError):
        model.loss(torch.rand(2, 3, *SHAPE), [DetDataSample()] * 2)
    assert model._passes is None


@pytest.mark.parametrize('early', [False, True])
@pytest.mark.parametrize('name', ['RetinaNet', 'RTMDet', 'YOLOX', 'DINO'])
def test_checkpoints_of_mmdet_are_loaded(name, early):
    """With early features, too, for which the neck is wrapped."""
    plain = build(plain_cfg(name), seed=1)
    model = build(attribute_cfg(name, early))
    missing, unexpected = model.load_state_dict(
        plain.state_dict(), strict=False
    )
    assert not unexpected
    assert missing
    assert all(key.startswith('attribute_') for key in missing)
    ours, theirs = model.state_dict(), plain.state_dict()
    for key, value in theirs.items():
        wrapped = key.replace('neck.', 'neck.neck.', 1)
        key = wrapped if early and key.startswith('neck.') else key
        assert torch.equal(ours[key], value)


def test_missing_or_foreign_attributes_are_named():
    model = build(attribute_cfg('ATSS'))
    sample = make_sample(2)
    del sample.gt_instances.attributes
    with pytest.raises(KeyError, match=r'field.png.*PackLLDInputs'):
        attribute_loss(model, sample)
    sample = make_sample(2, torch.zeros(2, 7, dtype=torch.long))
    with pytest.raises(ValueError, match=r'field.png.*7 attributes.*2'):
        attribute_loss(model, sample)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(attribute_source='stem'), "attribute_source='stem'"),
        (dict(attribute_center_std=-0.1), 'center_std=-0.1.*0 or more'),
        (dict(attribute_copies=0), 'copies=0, expected 1 or more'),
    ],
)
def test_bad_options_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(dict(attribute_cfg('ATSS'), **kwargs))


def test_early_features_need_their_neck():
    model = build(
        dict(attribute_cfg('ATSS'), attribute_source='early+neck')
    ).train()
    with pytest.raises(TypeError, match='EarlyFeatureNeck'):
        model.loss(torch.rand(2, 3, *SHAPE), [make_sample(), make_sample()])


def test_a_detector_of_ones_own_needs_two_lines():
    @MODELS.register_module()
    class AttributePAA(AttributeDetectorMixin, PAA): ...

    try:
        cfg = dict(attribute_cfg('ATSS'), type='mmleuk.AttributePAA')
        cfg['bbox_head'].update(type='PAAHead', topk=9)
        cfg['train_cfg'] = dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.1,
                neg_iou_thr=0.1,
                min_pos_iou=0,
                ignore_iof_thr=-1,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        )
        cfg['bbox_head'].update(
            loss_bbox=dict(type='GIoULoss', loss_weight=1.3),
            loss_centerness=dict(
                type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.5
            ),
        )
        model = build(cfg).train()
        losses = model.loss(
            torch.rand(2, 3, *SHAPE), [make_sample(), make_sample()]
        )
        assert losses['loss_attribute'] > 0
        for result in model.eval().predict(
            torch.rand(2, 3, *SHAPE), [make_sample(), make_sample()]
        ):
            assert 'attribute_probs' in result.pred_instances
    finally:
        MODELS.module_dict.pop('AttributePAA')
    assert 'AttributePAA' not in MMDET_MODELS.module_dict


def test_the_schema_sets_the_branches():
    model = build(attribute_cfg('ATSS'))
    assert model.attribute_head.schema.sizes == (3, 2)
    assert [a.name for a in model.attribute_head.schema] == [
        attribute['name'] for attribute in SCHEMA
    ]
