# Copyright (c) mmleuk authors. All rights reserved.
import copy
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmleuk.engine.hooks import RegionMiningHook

TOOLS = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
MINED = (
    'configs/region_sparse/'
    'mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
)


@pytest.fixture
def step_time(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import step_time

    yield step_time
    for name in ('step_time', 'inference'):
        del sys.modules[name]


def configs_of(step_time):
    cfg = Config.fromfile(step_time.CONFIG)
    return step_time.model_configs(cfg.model)


@pytest.mark.parametrize('is_cascade', [False, True])
def test_models_differ_in_what_is_compared_alone(step_time, is_cascade):
    model = Config.fromfile(step_time.CONFIG).model
    if is_cascade:
        model.detector.train_cfg.rcnn = [
            copy.deepcopy(model.detector.train_cfg.rcnn) for _ in range(3)
        ]
    mined_type = model.detector.train_cfg.rpn.sampler.type
    configs = step_time.model_configs(model)
    for name, assigner, sampler in (
        (step_time.PLAIN, 'MaxIoUAssigner', 'RandomSampler'),
        (step_time.ATTRIBUTES, 'MaxIoUAssigner', 'RandomSampler'),
        (step_time.REGIONS, 'mmleuk.RegionMaxIoUAssigner', 'RandomSampler'),
        (step_time.SAMPLED, 'mmleuk.RegionMaxIoUAssigner', mined_type),
        (step_time.SELF_MINED, 'mmleuk.RegionMaxIoUAssigner', mined_type),
    ):
        parts = step_time.sampling_parts(configs[name])
        assert len(parts) == (4 if is_cascade else 2)
        for part in parts:
            assert part.assigner.type == assigner
            assert part.sampler.type == sampler
        has_self_mining = ['self_mining' in part.sampler for part in parts[1:]]
        assert set(has_self_mining) == {name == step_time.SELF_MINED}
        detector = model.detector
        assert configs[name].backbone == detector.backbone
        if name == step_time.PLAIN:
            assert configs[name].roi_head.type == 'StandardRoIHead'
        else:
            assert configs[name].roi_head == detector.roi_head
    assert configs[step_time.MINED] is model


def test_hooks_of_the_config_are_found(step_time):
    cfg = Config.fromfile(step_time.CONFIG)
    mining = step_time.find_hook(cfg, 'RegionMiningHook')
    assert mining.dataloader.dataset.pipeline == cfg.test_pipeline
    last = step_time.find_hook(cfg, 'InnerPipelineSwitchHook')
    assert last.switch_epoch == mining.begin
    assert 'RandomChoice' in [step.type for step in last.switch_pipeline]


def test_passes_of_a_schedule(step_time):
    hook = RegionMiningHook(dict(), begin=8, interval=2, release=6)
    # Before epochs 8 and 10, and 6 over a fifth of the fields.
    assert step_time.count_passes(hook, 12, 0.2) == pytest.approx(2.2)
    hook = RegionMiningHook(dict(), begin=2, release=4, interval=3)
    assert step_time.count_passes(hook, 6, 0.2) == 3


@pytest.fixture(scope='module')
def mined_weights():
    register_all_modules()
    cfg = Config.fromfile(TOOLS.parents[2] / MINED)
    torch.manual_seed(1)
    return MODELS.build(cfg.model).state_dict()


@pytest.mark.parametrize('name', ['MMDetection', 'attributes', 'mined'])
def test_all_models_start_from_the_same_student(
    step_time, mined_weights, name
):
    cfg = configs_of(step_time)[name]
    optim_cfg = Config.fromfile(step_time.CONFIG).optim_wrapper
    model = step_time.make_step(cfg, optim_cfg, mined_weights).model
    student = getattr(model, 'student', model)
    assert hasattr(student.roi_head, 'attribute_head') == (
        name != 'MMDetection'
    )
    for key, value in student.state_dict().items():
        assert torch.equal(value, mined_weights[f'student.{key}'])


def test_weights_of_another_model_are_refused(step_time, mined_weights):
    cfg = configs_of(step_time)['mined']
    optim_cfg = Config.fromfile(step_time.CONFIG).optim_wrapper
    weights = dict(mined_weights)
    del weights['student.neck.neck.lateral_convs.0.conv.weight']
    with pytest.raises(RuntimeError, match='lateral_convs.0'):
        step_time.make_step(cfg, optim_cfg, weights)


def test_a_step_trains(step_time, mined_weights):
    cfg = Config.fromfile(step_time.CONFIG)
    regions = step_time.model_configs(cfg.model)[step_time.REGIONS]
    step = step_time.make_step(regions, cfg.optim_wrapper, mined_weights)
    conv = step.model.neck.neck.lateral_convs[0].conv
    before = conv.weight.detach().clone()
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(64, 64),
            ori_shape=(64, 64),
            scale_factor=(1, 1),
            img_path='a.png',
        ),
        gt_instances=InstanceData(
            bboxes=torch.tensor([[5.0, 5, 50, 50]]),
            labels=torch.tensor([1]),
            attributes=torch.zeros(1, 7).long(),
        ),
        ignored_instances=InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long()
        ),
    )
    image = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    step(dict(inputs=[image], data_samples=[sample]))
    assert not torch.equal(conv.weight, before)
