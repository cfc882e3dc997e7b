# Copyright (c) mmleuk authors. All rights reserved.
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData

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
    del sys.modules['step_time']


def test_models_differ_in_what_is_compared_alone(step_time):
    configs = step_time.model_configs()
    plain, regions = configs[step_time.PLAIN], configs[step_time.REGIONS]
    for part in ('rpn', 'rcnn'):
        assert plain.train_cfg[part].assigner.type == 'MaxIoUAssigner'
        assert regions.train_cfg[part].sampler.type == 'RandomSampler'
    assert plain.backbone == regions.backbone
    assert plain.roi_head == regions.roi_head
    sampler = configs['self-mined'].train_cfg.rcnn.sampler
    assert (sampler.warmup, sampler.self_mining is not None) == (0, True)
    mined = configs['mined'].detector
    # What mines has the box head that tells mined cells from labelled ones.
    for roi_head in (configs['self-mined'].roi_head, mined.roi_head):
        assert roi_head.bbox_head.type == 'mmleuk.RegionShared2FCBBoxHead'
        roi_head.bbox_head.type = regions.roi_head.bbox_head.type
        assert roi_head == regions.roi_head


def test_hooks_of_the_config_are_found(step_time):
    cfg = Config.fromfile(step_time.ROOT / MINED)
    mining = step_time.find_hook(cfg, 'RegionMiningHook')
    assert mining.dataloader.dataset.pipeline == cfg.test_pipeline
    last = step_time.find_hook(cfg, 'InnerPipelineSwitchHook')
    assert last.switch_epoch == mining.begin
    assert 'RandomChoice' in [step.type for step in last.switch_pipeline]


@pytest.fixture(scope='module')
def mined_weights():
    register_all_modules()
    cfg = Config.fromfile(TOOLS.parents[2] / MINED)
    torch.manual_seed(1)
    return MODELS.build(cfg.model).state_dict()


@pytest.mark.parametrize('name', ['MMDetection', 'self-mined', 'mined'])
def test_all_models_start_from_the_same_student(
    step_time, mined_weights, name
):
    cfg = step_time.model_configs()[name]
    optim_cfg = Config.fromfile(step_time.ROOT / MINED).optim_wrapper
    model = step_time.make_step(cfg, optim_cfg, mined_weights).model
    student = getattr(model, 'student', model)
    for key, value in student.state_dict().items():
        assert torch.equal(value, mined_weights[f'student.{key}'])


def test_weights_of_another_model_are_refused(step_time, mined_weights):
    cfg = step_time.model_configs()['mined']
    optim_cfg = Config.fromfile(step_time.ROOT / MINED).optim_wrapper
    weights = dict(mined_weights)
    del weights['student.neck.neck.lateral_convs.0.conv.weight']
    with pytest.raises(RuntimeError, match='lateral_convs.0'):
        step_time.make_step(cfg, optim_cfg, weights)


def test_a_step_trains(step_time, mined_weights):
    cfg = Config.fromfile(step_time.ROOT / step_time.IGNORE)
    step = step_time.make_step(cfg.model, cfg.optim_wrapper, mined_weights)
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
