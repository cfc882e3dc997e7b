# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from mmleuk.structures import UNANNOTATED

BASELINES = Path(__file__).parents[3] / 'configs' / 'baselines'


@pytest.fixture
def set_progress():
    """Pretend that a runner has done a share of 1000 iterations."""
    # Also if other tests have left a hub behind.
    hub = MessageHub.get_current_instance()

    def set_to(share):
        hub.update_info('loop_stage', 'train')
        hub.update_info('max_iters', 1000)
        hub.update_info('iter', round(share * 1000))

    yield set_to
    for key in ('loop_stage', 'max_iters', 'iter'):
        hub.pop_info(key)


@pytest.fixture
def baseline_cfg():
    """Read a config of configs/baselines, without weights to load."""

    def read(name):
        register_all_modules()
        path = (
            BASELINES
            / f'{name}-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
        )
        cfg = Config.fromfile(path)
        cfg.model.get('detector', cfg.model).backbone.init_cfg = None
        return cfg

    return read


@pytest.fixture
def build_model():
    """Build a model for training."""

    def build(model_cfg):
        torch.manual_seed(0)
        model = MODELS.build(model_cfg)
        model.init_weights()
        return model.train()

    return build


@pytest.fixture
def make_sample():
    """Make a sample of 96 x 64 pixels, annotated in its left part."""

    def make(num_cells=2, unannotated=((40.0, 0, 96, 64),), **metainfo):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(64, 96),
                pad_shape=(64, 96),
                batch_input_shape=(64, 96),
                ori_shape=(128, 192),
                scale_factor=(0.5, 0.5),
                img_path='field.png',
                **metainfo,
            )
        )
        corners = torch.rand(num_cells, 2) * 12
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + 25], dim=1),
            labels=torch.arange(num_cells) % 14,
            attributes=torch.randint(0, 2, (num_cells, 7)),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.tensor(unannotated).reshape(-1, 4),
            labels=torch.full((len(unannotated),), UNANNOTATED),
            attributes=torch.full((len(unannotated), 7), -1),
        )
        return sample

    return make
