# Copyright (c) mmleuk authors. All rights reserved.
import sys
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData

TOOLS = Path(__file__).parents[2] / 'tools' / 'benchmarks'


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
    assert configs['mined'].detector.roi_head == regions.roi_head


def test_a_step_trains(step_time):
    register_all_modules()
    cfg = Config.fromfile(step_time.ROOT / step_time.IGNORE)
    cfg.model.backbone.init_cfg = None
    step = step_time.make_step(cfg.model, cfg.optim_wrapper)
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
