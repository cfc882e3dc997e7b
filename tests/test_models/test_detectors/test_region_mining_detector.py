# Copyright (c) mmleuk authors. All rights reserved.
import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.engine.hooks import MeanTeacherHook
from mmengine.config import Config
from mmengine.structures import InstanceData
from tiny_dense_detectors import NUM_CLASSES, attribute_cfg, build

from mmleuk.models.mining.oriented_views import predict_in_orientations
from mmleuk.structures import (
    CANDIDATE,
    LLD_ATTRIBUTES,
    MISSING,
    AttributeSchema,
)

CONFIG = (
    Path(__file__).parents[3]
    / 'configs/region_sparse'
    / 'mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)
# Views of the conftest show a whole field of 192 x 128 pixels.
WHOLE = np.diag([1 / 192, 1 / 128, 1])


@pytest.fixture
def model(build_model):
    cfg = Config.fromfile(CONFIG).model
    cfg.detector.backbone.init_cfg = None
    return build_model(cfg)


def bank(model, sample, rows):
    """Bank detections (x1, y1, x2, y2, label, score) in stored pixels."""
    table = torch.tensor(rows).reshape(-1, 6)
    looked_at = copy.deepcopy(sample)
    looked_at.set_metainfo(
        dict(instances=[], annotated_regions=[[0, 0, 80, 128]])
    )
    looked_at.pred_instances = InstanceData(
        bboxes=table[:, :4],
        labels=table[:, 4].long(),
        scores=table[:, 5],
        attribute_labels=torch.ones(len(table), 7).long(),
        attribute_scores=torch.full((len(table), 7), 0.99),
    )
    model.miner.store(looked_at, held_out=False)
    model.miner.calibrate()


def losses_of(model, samples):
    torch.manual_seed(0)
    inputs = torch.rand(len(samples), 3, 64, 96)
    losses = model.loss(inputs, samples)
    total, _ = model.parse_losses(losses)
    return total, losses


def test_student_learns_from_what_is_mined(model, make_sample):
    sample = make_sample(field_matrix=WHOLE)
    rows = [[90.0, 20, 140, 70, 3, 0.9999], [150, 60, 190, 100, 2, 0.3]]
    bank(model, sample, rows)
    labelled = copy.deepcopy(sample)
    before, _ = losses_of(model, [labelled])
    truth = labelled.gt_instances
    assert truth.bboxes[2].tolist() == [45, 10, 70, 35]
    assert truth.labels.tolist() == [0, 1, 3]
    assert CANDIDATE in labelled.ignored_instances.labels
    before.backward()
    for parameter in model.teacher.parameters():
        assert parameter.grad is None
    student = model.student.roi_head.bbox_head.fc_cls
    assert student.weight.grad.abs().sum() > 0


def test_without_a_bank_it_is_the_detector(model, make_sample):
    sample = make_sample(field_matrix=WHOLE)
    one, _ = losses_of(model, [copy.deepcopy(sample)])
    torch.manual_seed(0)
    inputs = torch.rand(1, 3, 64, 96)
    losses = model.student.loss(inputs, [copy.deepcopy(sample)])
    other, _ = model.student.parse_losses(losses)
    assert one.item() == pytest.approx(other.item(), rel=1e-6)


@pytest.mark.parametrize('rows', [[], [[90.0, 20, 140, 70, 3, 0.9999]]])
def test_mixed_batches_and_empty_ones(model, make_sample, rows):
    """Full, sparse, held-out and empty images in one batch."""
    samples = [
        make_sample(unannotated=(), field_matrix=WHOLE),
        make_sample(field_matrix=WHOLE),
        make_sample(0, ((0.0, 0, 96, 64),), held_out=True, field_matrix=WHOLE),
        make_sample(0),
    ]
    for index, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'{index}.png'))
    for sample in samples[1:3]:
        bank(model, sample, rows)
    total, losses = losses_of(model, samples)
    assert total.isfinite()
    assert 'loss_attribute' in losses
    total.backward()


def test_teacher_stays_in_evaluation_mode(model):
    assert model.student.training
    model.train()
    assert not any(module.training for module in model.teacher.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_teacher_follows_weights_and_buffers(model):
    hook = MeanTeacherHook(momentum=0.25, skip_buffer=False)
    hook.momentum_update(model, 1)
    pairs = [
        (student, model.teacher.state_dict()[key])
        for key, student in model.student.state_dict().items()
        if key.endswith('running_mean') or key.endswith('fc_cls.weight')
    ]
    assert len(pairs) > 2
    before = [teacher.clone() for _, teacher in pairs]
    for student, _ in pairs:
        student += 1
    hook.momentum_update(model, 0.25)
    for old, (_, teacher) in zip(before, pairs):
        assert torch.allclose(teacher, old + 0.25, atol=1e-6)


def test_predicts_by_the_teacher(model, make_sample):
    model.eval()
    inputs = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        (one,) = model.predict(inputs, [make_sample()])
        (other,) = model.teacher.predict(inputs, [make_sample()])
    assert torch.equal(one.pred_instances.scores, other.pred_instances.scores)


def test_weights_of_a_plain_detector_go_to_both(model):
    weights = {
        key: value + 1 if value.is_floating_point() else value
        for key, value in model.student.state_dict().items()
    }
    model.load_state_dict(copy.deepcopy(weights), strict=False)
    for part in (model.student, model.teacher):
        assert torch.equal(
            part.state_dict()['roi_head.bbox_head.fc_cls.bias'],
            weights['roi_head.bbox_head.fc_cls.bias'],
        )


@pytest.fixture(params=['RTMDet', 'ATSS', 'DINO'])
def dense(request):
    """A detector without a RoI head that mines, and its attributes."""
    detector = attribute_cfg(request.param, schema=LLD_ATTRIBUTES)
    return build(
        dict(
            type='mmleuk.RegionMiningDetector',
            detector=detector,
            data_preprocessor=detector.data_preprocessor,
            miner=dict(type='mmleuk.RegionMiner', num_classes=NUM_CLASSES),
        )
    ).train()


@pytest.mark.parametrize('attribute_precision', [0.9, None])
def test_dense_detectors_learn_mined_attributes(
    dense, make_sample, attribute_precision
):
    """Codes of mined cells teach, and mined cells without codes do not."""
    dense.miner.attribute_precision = attribute_precision
    samples = [make_sample(field_matrix=WHOLE), make_sample(0)]
    samples[1].set_metainfo(dict(img_path='other.png'))
    samples[0].gt_instances.attributes[:] = MISSING
    bank(dense, samples[0], [[90.0, 20, 140, 70, 2, 0.9999]])
    total, losses = losses_of(dense, samples)
    truth = samples[0].gt_instances
    assert truth.labels.tolist() == [0, 1, 2]
    codes = 1 if attribute_precision else MISSING
    assert (truth.attributes[2] == codes).all()
    assert (losses['loss_attribute'] > 0) == (attribute_precision is not None)
    assert total.isfinite()
    total.backward()
    for name, parameter in dense.student.named_parameters():
        if name.startswith('attribute_'):
            assert parameter.grad is not None, name


@torch.no_grad()
def test_attributes_of_dense_teachers_reach_the_bank(dense, make_sample):
    dense.eval()
    dense.teacher.bbox_head.test_cfg.score_thr = 0.0
    sample = make_sample(field_matrix=WHOLE)
    sample.set_metainfo(
        dict(instances=[], annotated_regions=[[0, 0, 80, 128]])
    )
    sizes = AttributeSchema(LLD_ATTRIBUTES).sizes
    # Two images, since GroupNorm refuses a single place.
    inputs = torch.rand(2, 3, 64, 96)
    samples = [sample, copy.deepcopy(sample)]
    predict_in_orientations(dense.teacher, inputs, samples, 2, sizes)
    assert len(sample.pred_instances) > 0
    dense.miner.store(sample, held_out=False)
    (entry,) = [entry for _, entry in dense.miner.bank.items()]
    assert (entry.attribute_labels >= 0).all()
    assert (entry.attribute_scores > 0).all()
