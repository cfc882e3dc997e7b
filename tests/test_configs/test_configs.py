# Copyright (c) mmleuk authors. All rights reserved.
"""Every config builds, trains for one step and predicts once."""

import copy
import functools
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

from mmleuk.configs.parts import inner_dataset
from mmleuk.datasets import LLD_CLASSES
from mmleuk.structures import LLD_ATTRIBUTES

CONFIG_DIR = Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(
    str(path.relative_to(CONFIG_DIR))
    for path in CONFIG_DIR.rglob('*.py')
    if '_base_' not in path.parts
)
IMG_SHAPE = (64, 96)
# What MMEngine and our tools read of a config, and the variables of our bases.
# Nothing else may be left over in a config.
KEYS = {
    f'{part}_{key}'
    for part in ('train', 'val', 'test')
    for key in ('cfg', 'dataloader', 'evaluator', 'pipeline')
}
KEYS |= {'tta_model', 'tta_pipeline', 'visualizer', 'vis_backends'}
KEYS |= {'auto_scale_lr', 'model', 'optim_wrapper', 'param_scheduler'}
KEYS |= {'custom_hooks', 'default_hooks', 'log_level', 'log_processor'}
KEYS |= {'default_scope', 'env_cfg', 'load_from', 'resume', 'self_training'}
KEYS |= {'runner_type', 'strategy'}
VARIABLES = {'backend_args', 'data_root', 'dataset_type', 'eval_meta_keys'}
VARIABLES |= {'attributes', 'metainfo', 'scale', 'subset'}
VARIABLES |= {'checkpoint', 'detector', 'fc_channels', 'neck_channels'}
VARIABLES |= {'num_classes', 'roi_channels', 'stacked_convs', 'stages'}
VARIABLES |= {'encoder_layers', 'decoder_layers', 'ffn_channels'}
VARIABLES |= {'num_levels', 'num_queries', 'strides', 'img_size'}
VARIABLES |= {'frozen_stages', 'lr_decay', 'num_blocks'}
BRANCHES = ('sup', 'unsup_teacher', 'unsup_student')


@functools.cache
def read(path):
    return Config.fromfile(path)


def load(name):
    register_all_modules()
    cfg = copy.deepcopy(read(CONFIG_DIR / name))
    drop_checkpoints(cfg.model)
    return cfg


def drop_checkpoints(cfg):
    """Remove every `init_cfg` that would download or read weights."""
    init_cfg = cfg.get('init_cfg')
    if init_cfg and init_cfg.get('type') == 'Pretrained':
        cfg.init_cfg = None
    for value in cfg.values():
        if isinstance(value, dict):
            drop_checkpoints(value)


def skip_without_mmpretrain(cfg):
    backbone = detector_of(cfg).get('backbone', {}).get('type', '')
    if backbone.startswith('mmpretrain.'):
        for package in ('mmpretrain', 'torchvision'):
            if find_spec(package) is None:
                pytest.skip(f'{package} is not installed ({backbone})')


def make_batch(num_classes, num_attributes=7):
    samples = []
    for num_cells in (2, 0):
        corners = torch.rand(num_cells, 2) * 30
        sample = DetDataSample(
            metainfo=dict(
                img_shape=IMG_SHAPE,
                ori_shape=(128, 192),
                scale_factor=(0.5, 0.5),
                img_id=0,
                img_path='field.png',
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + 25], dim=1),
            labels=torch.randint(0, num_classes, (num_cells,)),
            attributes=torch.randint(-1, 2, (num_cells, num_attributes)),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.tensor([[40.0, 0, 96, 64]]),
            labels=torch.tensor([-1]),
            attributes=torch.full((1, num_attributes), -1),
        )
        samples.append(sample)
    inputs = [
        torch.randint(0, 255, (3, *IMG_SHAPE), dtype=torch.uint8)
        for _ in samples
    ]
    return dict(inputs=inputs, data_samples=samples)


def num_classes_of(cfg):
    """The number of classes of the training data, LLD's unless stated."""
    outer = inner_dataset(cfg.train_dataloader.dataset)
    metainfo = outer.get('datasets', [outer])[0].get('metainfo', {})
    return len(metainfo.get('classes', LLD_CLASSES))


def num_attributes_of(cfg):
    """The number of attributes of the data, LLD's unless stated."""
    return len(cfg.get('attributes', LLD_ATTRIBUTES))


def detector_of(cfg):
    """The config of the detector, which a semi-supervised one wraps."""
    return cfg.model.get('detector', cfg.model)


def make_train_batch(cfg, num_classes):
    """A batch as the data preprocessor of the config wants it."""
    batch = make_batch(num_classes, num_attributes_of(cfg))
    if cfg.model.data_preprocessor.type != 'MultiBranchDataPreprocessor':
        return batch
    views = [make_batch(num_classes) for _ in range(2)]
    for view in views:
        for sample in view['data_samples']:
            del sample.gt_instances, sample.ignored_instances
            scale = np.diag([0.5, 0.5, 1]).astype(np.float32)
            sample.set_metainfo(dict(homography_matrix=scale))
    branches = dict(zip(BRANCHES, [batch, *views]))
    return {
        key: {name: branch[key] for name, branch in branches.items()}
        for key in batch
    }


def test_there_are_configs():
    assert len(CONFIGS) >= 10


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_config(name, monkeypatch):
    torch.manual_seed(0)
    # YOLOX counts steps.
    hub = MessageHub.get_current_instance()
    monkeypatch.setitem(hub.runtime_info, 'iter', 0)
    cfg = load(name)
    skip_without_mmpretrain(cfg)
    if 'num_queries' in cfg.model:
        # Small images have few places for queries.
        cfg.model.num_queries = 40
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    model.init_weights()
    num_classes = num_classes_of(cfg)
    batch = make_train_batch(cfg, num_classes)

    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train()
    losses = model.train_step(batch, optim_wrapper)
    assert losses['loss'].isfinite()
    detector = detector_of(cfg)
    has_attributes = 'attribute_head' in detector.get('roi_head', detector)
    assert has_attributes == any(
        name.endswith('loss_attribute') for name in losses
    )

    model.eval()
    with torch.no_grad():
        results = model.test_step(
            make_batch(num_classes, num_attributes_of(cfg))
        )
    for result in results:
        instances = result.pred_instances
        assert ('attribute_probs' in instances) == has_attributes
        if has_attributes:
            assert instances.attribute_labels.shape == (
                len(instances),
                num_attributes_of(cfg),
            )
        assert instances.bboxes.isfinite().all()


@pytest.mark.parametrize('page', ['README.md', 'docs/swap_backbone.md'])
def test_backbone_swap_of_the_pages(page, tmp_path):
    """The child config that a page shows builds and trains."""
    text = (CONFIG_DIR.parent / page).read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    (block,) = [block for block in blocks if '_base_' in block]
    parent = CONFIG_DIR / 'attribute_rcnn'
    child = tmp_path / 'child.py'
    child.write_text(block.replace("'./", f"'{parent}/"))
    register_all_modules()
    cfg = Config.fromfile(child)
    drop_checkpoints(cfg.model)
    model = MODELS.build(cfg.model)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    losses = model.train().train_step(make_batch(14), optim_wrapper)
    assert losses['loss'].isfinite()


@pytest.mark.parametrize('name', CONFIGS)
def test_datasets_and_model_agree(name):
    """Classes of the data, of the head and the metric fit together."""
    cfg = load(name)
    detector = detector_of(cfg)
    heads = detector.get('roi_head', detector).bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        assert head.num_classes == num_classes_of(cfg)
    for part in ('train', 'val', 'test'):
        outer = cfg[f'{part}_dataloader'].dataset
        for dataset in outer.get('datasets', [outer]):
            assert inner_dataset(dataset).type == 'mmleuk.LLDDataset'
    for metric in cfg.val_evaluator.get('metrics', [cfg.val_evaluator]):
        assert metric.type == 'mmleuk.LLDMetric'
    assert cfg.default_scope == 'mmdet'
    assert 'custom_imports' not in cfg
    assert set(cfg) <= KEYS | VARIABLES
