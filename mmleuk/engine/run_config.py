# Copyright (c) mmleuk authors. All rights reserved.
import argparse
import os.path as osp

from mmdet.utils import register_all_modules, setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .checkpoint_loaders import load_checkpoints_safely


def load_run_config(args: argparse.Namespace) -> Config:
    """Prepare the process for a run and read the config of it.

    What every command line of MMDetection shares: modules are registered, no
    checkpoint may run code, overrides merged, the work directory is settled.

    Args:
        args (argparse.Namespace): ``config``, ``launcher``, ``cfg_options``
            and ``work_dir``, the last two None where not given.

    Returns:
        Config: The config, with ``work_dir`` and ``launcher`` set.
    """
    setup_cache_size_limit_of_dynamo()
    register_all_modules(init_default_scope=False)
    load_checkpoints_safely()
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.setdefault('default_scope', 'mmdet')

    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        stem = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', stem)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the runner that a config asks for.

    Args:
        cfg (Config): The config; ``runner_type`` names a runner of another
            class.

    Returns:
        Runner: The runner.
    """
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)
