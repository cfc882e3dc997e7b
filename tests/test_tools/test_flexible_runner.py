# Copyright (c) mmleuk authors. All rights reserved.
"""MMEngine's FlexibleRunner, which FSDP and DeepSpeed need.

torch's FSDP asks for an accelerator, so that on a CPU the strategy of one
device stands for it: the loops, hooks and checkpoints are the same.
"""

import pytest
from mmengine.config import Config
from test_train_test import CONFIG, ROOT, read_scalars, run, write_data

HOOKS = """
runner_type = 'FlexibleRunner'
strategy = dict(type='SingleDeviceStrategy')
optim_wrapper.update(type='mmleuk.FiniteOptimWrapper')
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(
        type='mmleuk.AtomicCheckpointHook', interval=1, max_keep_ckpts=1),
    epoch_seed=dict(type='mmleuk.EpochSeedHook'),
    loss_guard=dict(type='mmleuk.LossGuardHook', max_skipped=0),
    type_profile=dict(type='mmleuk.TypeProfileHook'))
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('flexible')
    write_data(folder)
    config = CONFIG.replace('{data_root}', folder.as_posix()) + HOOKS
    (folder / 'tiny.py').write_text(config)
    run('train.py', 'tiny.py', cwd=folder)
    return folder


@pytest.mark.slow
def test_it_trains_resumes_and_tests(folder):
    work_dir = folder / 'work_dirs' / 'tiny'
    assert (work_dir / 'epoch_1.pth').is_file()
    assert any('loss_attribute' in line for line in read_scalars(work_dir))
    epochs = ('--cfg-options', 'train_cfg.max_epochs=2')
    done = run('train.py', 'tiny.py', '--resume', *epochs, cwd=folder)
    assert 'epoch_1.pth' in done.stdout
    assert not (work_dir / 'epoch_1.pth').exists()
    checkpoint = work_dir / 'epoch_2.pth'
    done = run('test.py', 'tiny.py', checkpoint, cwd=folder)
    assert 'lld/bbox_mAP' in done.stdout


def test_the_config_asks_for_fsdp():
    name = 'attr-faster-rcnn_r50_fpn_fsdp_1x_lld-h100x-c1.py'
    cfg = Config.fromfile(f'{ROOT}/configs/attribute_rcnn/{name}')
    assert cfg.runner_type == 'FlexibleRunner'
    assert cfg.strategy.type == 'FSDPStrategy'
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert cfg.optim_wrapper.optimizer.type == 'SGD'
