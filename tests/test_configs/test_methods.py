# Copyright (c) mmleuk authors. All rights reserved.
"""Methods as functions over any base, and the configs that call them."""

import ast
import copy
import os
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from test_configs import (
    CONFIG_DIR,
    CONFIGS,
    drop_checkpoints,
    make_batch,
    make_train_batch,
    read,
)

from mmleuk import configs
from mmleuk.configs.parts import find, insert

CASCADE = 'attribute_rcnn/attr-cascade-rcnn_r50_fpn_1x_lld-sparse-h40x-c1.py'
RETINANET = 'region_sparse/ignore-retinanet_lite0_fpn_pbc-fields-sparse.py'
PBC = 'baselines/ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
MINED = 'region_sparse/mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
# What each method returns, in order.
METHODS = dict(
    naive=['model'],
    mosaic=['train_pipeline', 'train_dataloader'],
    crop=[
        'model',
        'train_pipeline',
        'train_dataloader',
        'train_cfg',
        'param_scheduler',
        'default_hooks',
        'auto_scale_lr',
    ],
    self_mined=['model'],
    sla_det=['model'],
    soft_teacher=[
        'model',
        'train_dataloader',
        'auto_scale_lr',
        'custom_hooks',
    ],
    mined=[
        'model',
        'train_pipeline',
        'train_dataloader',
        'param_scheduler',
        'custom_hooks',
    ],
)
# Methods that need one RoI head, and a RoI head at all.
PLAIN_ONLY = ('sla_det', 'soft_teacher')
TWO_STAGE_ONLY = (*PLAIN_ONLY, 'self_mined')


def write_child(folder, base, method, arguments=''):
    """Write a config that calls a method over another config."""
    call = f'methods.{method}(_base_, {arguments})'
    path = folder / f'{method}.py'
    path.write_text(
        f"_base_ = '{CONFIG_DIR / base}'\n"
        'from mmleuk import configs as methods\n'
        f'{", ".join(METHODS[method])} = {call}\n'
    )
    return path


def build_and_train(cfg, num_classes):
    """Build the model of a config, train a step and predict."""
    register_all_modules()
    torch.manual_seed(0)
    drop_checkpoints(cfg.model)
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_train_batch(cfg, num_classes)
    losses = model.train().train_step(batch, optim_wrapper)
    assert losses['loss'].isfinite()
    model.eval()
    with torch.no_grad():
        model.test_step(make_batch(num_classes))


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('base', [CASCADE, RETINANET])
def test_a_method_over_any_base(method, base, tmp_path):
    if base == RETINANET and method in TWO_STAGE_ONLY:
        with pytest.raises(ValueError, match='RetinaNet, expected'):
            Config.fromfile(write_child(tmp_path, base, method))
        return
    if base == CASCADE and method in PLAIN_ONLY:
        with pytest.raises(ValueError, match='CascadeRCNN, expected'):
            Config.fromfile(write_child(tmp_path, base, method))
        return
    cfg = Config.fromfile(write_child(tmp_path, base, method))
    # Configs of ours are built by `test_configs.py`.
    if 'model' in METHODS[method] and method != 'mined':
        build_and_train(cfg, 14)
    plain = Config.fromfile(CONFIG_DIR / base)
    allowed = set(plain) | set(METHODS[method])
    assert set(cfg) <= allowed
    # As written by the runner for the record.
    (tmp_path / 'dumped.py').write_text(cfg.pretty_text)
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('method', METHODS)
def test_a_method_does_not_modify_its_base(method):
    base = ConfigDict(Config.fromfile(CONFIG_DIR / PBC).to_dict())
    before = copy.deepcopy(base)
    result = getattr(configs, method)(base)
    assert base == before
    # Nor does a child of it, through parts that they share.
    result = list(result) if isinstance(result, tuple) else [result]
    while result:
        item = result.pop()
        if isinstance(item, dict):
            result += item.values()
            item.clear()
        elif isinstance(item, list):
            result += item
            item.clear()
    assert base == before


@pytest.mark.parametrize('path', sorted(CONFIG_DIR.rglob('*.py')), ids=str)
def test_nothing_is_executed_and_no_pipeline_is_indexed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ('exec', 'eval', 'open')
        if isinstance(node, (ast.Subscript, ast.Starred)):
            assert 'pipeline' not in ast.unparse(node)


def test_overrides_take_effect(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f"_base_ = '{CONFIG_DIR / MINED}'\n"
        'model = dict(miner=dict(target_precision=0.9))\n'
    )
    cfg = Config.fromfile(child)
    assert cfg.model.miner.target_precision == 0.9
    assert cfg.model.miner.num_classes == 14
    cfg.merge_from_dict({'model.miner.target_precision': 0.8})
    assert cfg.model.miner.target_precision == 0.8


def test_one_argument_sets_all_that_follows_from_it(tmp_path):
    arguments = 'burn_in=0.5, hold_out=dict(share=0.5, seed=3)'
    cfg = Config.fromfile(write_child(tmp_path, PBC, 'mined', arguments))
    hold_out = dict(share=0.5, seed=3)
    assert cfg.model.miner.hold_out == hold_out
    step = cfg.train_pipeline[find(cfg.train_pipeline, 'HoldOutRegions')]
    assert step == dict(type='mmleuk.HoldOutRegions', **hold_out)
    _, released, mining, hook = cfg.custom_hooks
    assert hook.begin == mining.switch_epoch == 6
    assert hook.release == released.switch_epoch == 3
    _, first, jump, second = cfg.param_scheduler
    assert (first.end, jump.milestones, second.begin) == (6, [6], 6)


def test_the_miner_has_the_attributes_of_the_head(tmp_path):
    base = tmp_path / 'base.py'
    base.write_text(
        f"_base_ = '{CONFIG_DIR / PBC}'\n"
        "attributes = [dict(name='a', values=['b', 'c'])]\n"
        'model = dict(roi_head=dict(\n'
        '    attribute_head=dict(attributes=attributes)))\n'
    )
    cfg = Config.fromfile(write_child(tmp_path, base, 'mined'))
    assert cfg.model.miner.attributes == cfg.attributes
    assert 'attributes' not in Config.fromfile(CONFIG_DIR / MINED).model.miner


def test_wrapped_datasets(tmp_path):
    wrapped = tmp_path / 'wrapped.py'
    wrapped.write_text(
        f"_base_ = '{CONFIG_DIR / PBC}'\n"
        'train_dataloader = dict(dataset=dict(_delete_=True, times=2, '
        "type='RepeatDataset', dataset=_base_.train_dataloader.dataset))\n"
    )
    cfg = Config.fromfile(write_child(tmp_path, wrapped, 'mined'))
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type, dataset.times) == ('RepeatDataset', 2)
    assert dataset.dataset.pipeline == cfg.train_pipeline
    # A pass of the teacher sees each field once.
    fields = cfg.custom_hooks[-1].dataloader.dataset
    assert fields.type == 'mmleuk.LLDDataset'


def test_joint_datasets(tmp_path):
    joint = tmp_path / 'joint.py'
    joint.write_text(
        f"_base_ = '{CONFIG_DIR / PBC}'\n"
        'part = _base_.train_dataloader.dataset\n'
        "other = dict(part, data_root='data/other/')\n"
        "other = dict(type='RepeatDataset', times=2, dataset=other)\n"
        'train_dataloader = dict(dataset=dict(_delete_=True, '
        "type='mmleuk.JointDataset', datasets=[part, other]))\n"
    )
    cfg = Config.fromfile(write_child(tmp_path, joint, 'mined'))
    first, second = cfg.train_dataloader.dataset.datasets
    assert (second.type, second.times) == ('RepeatDataset', 2)
    assert first.pipeline == second.dataset.pipeline == cfg.train_pipeline
    fields = cfg.custom_hooks[-1].dataloader.dataset
    assert fields.type == 'mmleuk.JointDataset'
    roots = [part.data_root for part in fields.datasets]
    assert roots == ['data/pbc_fields/', 'data/other/']
    assert all(part.pipeline == cfg.test_pipeline for part in fields.datasets)

    unlike = 'datasets=[dict(part, pipeline=[])'
    joint.write_text(joint.read_text().replace('datasets=[part', unlike))
    with pytest.raises(ValueError, match='have pipelines that differ'):
        Config.fromfile(write_child(tmp_path, joint, 'mined'))


def test_what_was_looked_for_is_named(tmp_path):
    pipeline = [dict(type='Resize'), dict(type='mmleuk.PackLLDInputs')]
    added = insert(pipeline, dict(type='A'), before='PackLLDInputs')
    assert [step['type'] for step in added][1] == 'A'
    added = insert(pipeline, dict(type='A'), after='PackLLDInputs')
    assert [step['type'] for step in added][2] == 'A'
    for wrong in (pipeline[:1], [*pipeline, pipeline[1]]):
        with pytest.raises(ValueError, match='Resize.*one PackLLDInputs'):
            insert(wrong, dict(type='A'), before='PackLLDInputs')


def test_sizes_change_in_all_pipelines():
    cfg = Config.fromfile(
        CONFIG_DIR
        / 'attribute_rcnn/attr-faster-rcnn_lite0_fpn-wide_512px_pbc-fields.py'
    )
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline, cfg.tta_pipeline):
        assert re.findall(r"'scale': \(?\[?(\d+)", str(pipeline)) == ['512']


def test_configs_load_from_any_folder(tmp_path, monkeypatch):
    expected = Config.fromfile(CONFIG_DIR / MINED).to_dict()
    monkeypatch.chdir(CONFIG_DIR / 'baselines')
    path = os.path.relpath(CONFIG_DIR / MINED)
    assert Config.fromfile(path).to_dict() == expected
    monkeypatch.chdir(tmp_path)
    assert Config.fromfile(CONFIG_DIR / MINED).to_dict() == expected


def test_a_config_builds_its_runner(tmp_path):
    """Hooks and loops, not the model alone; data are not read."""
    register_all_modules()
    cfg = Config.fromfile(CONFIG_DIR / MINED)
    drop_checkpoints(cfg.model)
    cfg.work_dir = str(tmp_path)
    names = [type(hook).__name__ for hook in Runner.from_cfg(cfg).hooks]
    assert {'SchemaCheckHook', 'RegionMiningHook'} <= set(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    'folder',
    sorted({name.split('/')[0] for name in CONFIGS}),
)
def test_metafile_lists_the_configs_of_its_folder(folder):
    root = CONFIG_DIR.parent
    meta = yaml.safe_load((CONFIG_DIR / folder / 'metafile.yml').read_text())
    (collection,) = meta['Collections']
    assert (root / collection['README']).is_file()
    listed = [model['Config'] for model in meta['Models']]
    assert sorted(listed) == sorted(
        f'configs/{name}' for name in CONFIGS if name.startswith(f'{folder}/')
    )
    for model in meta['Models']:
        assert model['In Collection'] == collection['Name']
        assert model['Name'] == Path(model['Config']).stem
        cfg = read(CONFIG_DIR / model['Config'].partition('/')[2])
        assert model['Metadata']['Epochs'] == cfg.train_cfg.max_epochs
        for result in model.get('Results', []):
            assert result['Metrics']
