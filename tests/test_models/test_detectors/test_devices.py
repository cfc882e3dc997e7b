# Copyright (c) mmleuk authors. All rights reserved.
"""Every family of detectors computes on a device what it does on the CPU.

The device is CUDA with ``pytest -m cuda``. Everywhere else it is one that
computes on the CPU and mixes with it no more than CUDA does.
"""

import contextlib
import copy
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from other_device import other_or_cuda

from mmleuk.engine.hooks import LossGuardHook, RegionMiningHook

CONFIGS = Path(__file__).parents[3] / 'configs'
# Of views half as large as the stored image, which has 192 x 128 pixels.
GEOMETRY = dict(
    homography_matrix=np.diag([0.5, 0.5, 1]).astype(np.float32),
    field_matrix=np.diag([1 / 192, 1 / 128, 1]),
)
DEVICES = ['other', pytest.param('cuda', marks=pytest.mark.cuda)]
FAMILIES = {
    'faster-rcnn': 'baselines/ignore-attr-faster-rcnn_lite0_fpn',
    'cascade-rcnn': '_base_/models/attr-cascade-rcnn_r50_fpn.py',
    'retinanet': 'region_sparse/ignore-retinanet_lite0_fpn',
    'mining': 'region_sparse/mined-attr-faster-rcnn_lite0_fpn',
    'sla-det': 'baselines/sla-det-attr-faster-rcnn_lite0_fpn',
    'soft-teacher': 'baselines/soft-teacher-attr-faster-rcnn_lite0_fpn',
}
# All losses of SLA-Det and of the soft teacher are at work.
PROGRESS = 0.8


@pytest.mark.parametrize('device', DEVICES)
def test_devices_are_strict(device):
    here = torch.arange(4.0)
    with other_or_cuda(device) as (torch_device, take):
        there = here.to(torch_device)
        for mix in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: there @ here,
            lambda: here[there > 1],
            lambda: there.numpy(),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                mix()
        take()
        # Numbers, and copies that nothing waits for, are free.
        there = torch.where(there > torch.tensor(1.0), there, 0.0)
        there = there + here.to(torch_device, non_blocking=True)
        assert take() == []
        assert there[there > 1].tolist() == [4.0, 6.0]
        assert len(take()) >= 2
        there.new_tensor([1.0])
        assert len(take()) >= 1


def model_cfg(family):
    register_all_modules()
    file = FAMILIES[family]
    if not file.endswith('.py'):
        file += '_pbc-fields-sparse.py'
    cfg = Config.fromfile(CONFIGS / file).model
    detector = cfg.get('detector', cfg)
    detector.backbone.init_cfg = None
    if family != 'retinanet':
        detector.train_cfg.rpn_proposal.max_per_img = 100
        detector.test_cfg.rpn.max_per_img = 100
        # All RoIs: where rounding adds one, the others stay the same.
        detector.roi_head.attribute_max_rois = None
        stages = detector.train_cfg.rcnn
        for stage in stages if isinstance(stages, list) else [stages]:
            stage.sampler.num = 10000
    if family == 'cascade-rcnn':
        detector.backbone.update(
            depth=18, base_channels=8, norm_eval=False, frozen_stages=-1
        )
        detector.neck.update(in_channels=[8, 16, 32, 64])
        for head in detector.roi_head.bbox_head:
            head.fc_out_channels = 64
    if family == 'retinanet':
        cfg.test_cfg.score_thr = 0.0
    if family == 'sla-det':
        # Random weights are sure of nothing.
        cfg.update(
            nms_score_thr=0.0, pseudo_score_thr=0.08, similarity_score_thr=0.0
        )
    if family == 'soft-teacher':
        cfg.semi_train_cfg.update(
            pseudo_label_initial_score_thr=0.0,
            rpn_pseudo_thr=0.0,
            cls_pseudo_thr=0.0,
            reg_pseudo_thr=100.0,
        )
    return cfg


@pytest.fixture
def same_random_numbers(monkeypatch):
    """Draw on the CPU, whatever the device, and round as the CPU does."""

    def on_cpu(function):
        def draw(*args, device=None, **kwargs):
            if isinstance(args[0], torch.Tensor):
                device = args[0].device
                args = (torch.empty(args[0].shape, dtype=args[0].dtype),)
            return function(*args, **kwargs).to(device or 'cpu')

        return draw

    for name in ('rand', 'rand_like', 'randperm'):
        monkeypatch.setattr(torch, name, on_cpu(getattr(torch, name)))
    # As exact as the CPU, which has no TF32.
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def build(build_model):
    def build(cfg):
        model = build_model(cfg)
        # Scores that differ, so that rounding does not change their order.
        for name, parameter in model.named_parameters():
            if 'cls' in name and name.endswith('.weight'):
                parameter.data *= 20
        return model

    return build


@pytest.fixture
def make_batch(make_sample):
    """Images and samples: annotated in part, as a whole, without a cell."""

    def make(family):
        torch.manual_seed(0)
        samples = [
            make_sample(2, **GEOMETRY),
            make_sample(1, (), **GEOMETRY),
            make_sample(0, **GEOMETRY),
        ]
        for number, sample in enumerate(samples):
            sample.set_metainfo(dict(img_path=f'{number}.png'))
        inputs = torch.rand(len(samples), 3, 64, 96)
        if family != 'soft-teacher':
            return inputs, samples
        parts = dict(sup=samples, unsup_teacher=[], unsup_student=[])
        for branch in ('unsup_teacher', 'unsup_student'):
            for sample in copy.deepcopy(samples[:2]):
                del sample.gt_instances, sample.ignored_instances
                parts[branch].append(sample)
        return {key: inputs[: len(part)] for key, part in parts.items()}, parts

    return make


def move(batch, device):
    """Copy images and samples to a device."""
    if isinstance(batch, dict):
        return {key: move(part, device) for key, part in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [move(part, device) for part in batch]
    return copy.deepcopy(batch).to(device)


def fill_bank(model, samples):
    """Let the teacher have found a sure cell and a candidate in a field."""
    looked_at = copy.deepcopy(samples[0])
    looked_at.set_metainfo(
        dict(instances=[], annotated_regions=[[0, 0, 80, 128]])
    )
    looked_at.pred_instances = InstanceData(
        bboxes=torch.tensor([[90.0, 20, 140, 70], [150, 60, 190, 100]]),
        labels=torch.tensor([3, 2]),
        scores=torch.tensor([0.9999, 0.3]),
        attribute_labels=torch.ones(2, 7).long(),
        attribute_scores=torch.full((2, 7), 0.99),
    )
    model.miner.store(looked_at, held_out=False)
    model.miner.calibrate()


def train_and_predict(model, batch, device):
    """One training step, then a prediction.

    Returns:
        tuple: Losses and the norm of the gradient, dict[str, float], and the
        predictions of all images on the CPU.
    """
    model = model.to(device)
    inputs, samples = move(batch, device)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.001
    )
    torch.manual_seed(1)
    losses = model.loss(inputs, samples)
    total, values = model.parse_losses(losses)
    total.backward()
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    values = dict(values, gradient_norm=torch.stack(norms).norm())
    optimizer.step()
    values = {key: float(value) for key, value in values.items()}

    model.eval()
    if isinstance(inputs, dict):
        inputs, samples = inputs['sup'], samples['sup']
    with torch.no_grad():
        samples = model.predict(inputs, samples)
    return values, [sample.pred_instances.cpu() for sample in samples]


def check_predictions(found, expected):
    """Nearly all detections are the same: few may lie at a threshold."""
    for one, other in zip(found, expected):
        assert one.keys() == other.keys()
        assert len(other) > 0
        is_same = bbox_overlaps(one.bboxes, other.bboxes) > 0.99
        is_same &= one.labels[:, None] == other.labels
        is_same &= (one.scores[:, None] - other.scores).abs() < 1e-3
        if 'attribute_probs' in one:
            away = one.attribute_probs[:, None] - other.attribute_probs
            is_same &= away.abs().amax(dim=2) < 1e-2
        assert is_same.any(dim=0).float().mean() > 0.95
        assert is_same.any(dim=1).float().mean() > 0.95


@pytest.mark.slow
@pytest.mark.usefixtures('same_random_numbers')
@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('device', DEVICES)
def test_step_and_prediction(build, make_batch, set_progress, device, family):
    """Losses and gradients within 2 %, for RoIs that lie at a threshold."""
    set_progress(PROGRESS)
    batch = make_batch(family)
    model = build(model_cfg(family))
    if family == 'mining':
        fill_bank(model, batch[1])
    start = copy.deepcopy(model)
    expected, expected_cells = train_and_predict(start, batch, 'cpu')
    with other_or_cuda(device) as (torch_device, _):
        values, cells = train_and_predict(model, batch, torch_device)
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        assert np.isfinite(value), key
        assert values[key] == pytest.approx(value, rel=0.02, abs=1e-4), key
    check_predictions(cells, expected_cells)


def stock_cfg(cfg):
    """The same detector of MMDetection's parts, without attributes."""
    cfg = copy.deepcopy(cfg)
    cfg.rpn_head.type = 'RPNHead'
    roi_head = cfg.roi_head
    roi_head.type = 'StandardRoIHead'
    for key in [key for key in roi_head if key.startswith('attribute_')]:
        del roi_head[key]
    roi_head.bbox_roi_extractor.type = 'SingleRoIExtractor'
    for part in (cfg.train_cfg.rpn, cfg.train_cfg.rcnn):
        part.assigner.type = 'MaxIoUAssigner'
        part.sampler.type = 'RandomSampler'
    return cfg


def count_waits(model, batch, device, take):
    """Count how often the host waits in the loss of a batch."""
    inputs, samples = move(batch, device)
    model = model.to(device)
    take()
    model.loss(inputs, samples)
    return len(take())


@pytest.mark.parametrize('device', DEVICES)
def test_waits_of_a_training_step(build, make_batch, device):
    """Regions and attributes cost none; mining one, and one an image."""
    cfg = model_cfg('mining')
    batch = make_batch('mining')
    stock = build(stock_cfg(cfg.detector))
    region, mining = build(model_cfg('faster-rcnn')), build(cfg)
    fill_bank(mining, batch[1])
    with other_or_cuda(device) as (torch_device, take):
        theirs, without, with_mining = (
            count_waits(model, batch, torch_device, take)
            for model in (stock, region, mining)
        )
    assert 0 < without <= theirs
    assert with_mining <= theirs + 1 + len(batch[1])


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(
    'part, expected', [('miner.label', 1), ('roi_head.attribute_loss', 0)]
)
def test_waits_of_our_parts(
    build, make_batch, monkeypatch, device, part, expected
):
    batch = make_batch('mining')
    model = build(model_cfg('mining'))
    fill_bank(model, batch[1])
    owner, method = part.split('.')
    owner = getattr(model if owner == 'miner' else model.student, owner)
    original = getattr(owner, method)
    waits = []
    with other_or_cuda(device) as (torch_device, take):

        def watch(*args):
            take()
            out = original(*args)
            waits.extend(take())
            return out

        monkeypatch.setattr(owner, method, watch)
        count_waits(model, batch, torch_device, take)
    assert len(waits) == expected, waits


def mine(model, samples, device):
    """Run a mining pass over un-prepared images.

    Returns:
        dict[str, :obj:`InstanceData`]: The bank.
    """
    model = model.to(device)
    hook = RegionMiningHook(dict(), begin=0, num_orientations=2)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (len(samples), 3, 64, 96), dtype=torch.uint8, generator=generator
    )
    hook._dataloader = [
        dict(inputs=list(images), data_samples=copy.deepcopy(samples))
    ]
    hook.mine(
        SimpleNamespace(
            model=model,
            epoch=0,
            iter=0,
            logger=logging.getLogger(__name__),
            message_hub=MessageHub.get_instance(__name__),
        )
    )
    return dict(model.miner.bank.items())


@pytest.mark.slow
@pytest.mark.parametrize('device', DEVICES)
def test_mining_pass(build, make_batch, device):
    batch = make_batch('mining')
    for sample in batch[1]:
        cell = dict(bbox=[10, 10, 60, 60], bbox_label=3, ignore_flag=0)
        sample.set_metainfo(
            dict(instances=[cell], annotated_regions=[[0, 0, 80, 128]])
        )
    cfg = model_cfg('mining')
    # All three fields calibrate, and anything is mined.
    cfg.miner.update(
        hold_out=dict(share=1.0), target_precision=0.0, min_probability=0.0
    )
    model = build(cfg)
    start = copy.deepcopy(model)
    expected = mine(start, batch[1], 'cpu')
    with other_or_cuda(device) as (torch_device, _):
        bank = mine(model, batch[1], torch_device)
        for field in bank.values():
            assert all(value.is_cpu for value in field.values())
        for name, calibrator in model.miner.calibrators.items():
            torch.testing.assert_close(
                calibrator.mean.cpu(),
                start.miner.calibrators[name].mean,
                rtol=0.05,
                atol=0.05,
            )
        inputs, samples = move(batch, torch_device)
        total, _ = model.parse_losses(model.loss(inputs, samples))
        assert total.isfinite()
    num_cells = [len(sample.gt_instances) for sample in batch[1]]
    assert any(
        len(sample.gt_instances) > num
        for sample, num in zip(samples, num_cells)
    )
    assert bank.keys() == expected.keys()
    check_predictions(bank.values(), expected.values())


@pytest.mark.parametrize(
    'device, dtype, family',
    [('cpu', 'bfloat16', 'faster-rcnn')]
    + [
        pytest.param('cuda', dtype, family, marks=pytest.mark.cuda)
        for dtype in ('float16', 'bfloat16')
        for family in ('faster-rcnn', 'cascade-rcnn', 'mining')
    ],
)
def test_mixed_precision(build, make_batch, device, dtype, family):
    """Losses stay finite, and the scaler lets steps through."""
    batch = make_batch(family)
    model = build(model_cfg(family))
    if family == 'mining':
        fill_bank(model, batch[1])
    model = model.to(device)
    cfg = dict(optimizer=dict(type='SGD', lr=1e-3))
    autocast = contextlib.nullcontext()
    if device == 'cuda':
        # As `tools/train.py --amp` sets it.
        cfg.update(type='AmpOptimWrapper', dtype=dtype, loss_scale='dynamic')
    else:
        # AmpOptimWrapper refuses the CPU.
        cfg.update(type='mmleuk.FiniteOptimWrapper')
        autocast = torch.autocast(device, getattr(torch, dtype))
    wrapper = build_optim_wrapper(model, cfg)
    guard = LossGuardHook()
    runner = SimpleNamespace(
        optim_wrapper=wrapper, iter=0, logger=logging.getLogger(__name__)
    )
    guard.before_train(runner)
    head = getattr(model, 'student', model).roi_head.attribute_head
    before = [parameter.detach().clone() for parameter in head.parameters()]
    # The scale falls from 65536 until no gradient overflows.
    for _ in range(3 if device == 'cpu' else 12):
        inputs, samples = move(batch, device)
        with wrapper.optim_context(model), autocast:
            losses = model.loss(inputs, samples)
        total, values = model.parse_losses(losses)
        wrapper.update_params(total)
        assert all(value.isfinite() for value in values.values()), values
        guard.after_train_iter(runner, 0, dict(data_samples=samples), values)
    assert guard.num_skipped == 0
    for parameter, old in zip(head.parameters(), before):
        assert parameter.isfinite().all()
        assert not torch.equal(parameter, old)
