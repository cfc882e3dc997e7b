# Copyright (c) mmleuk authors. All rights reserved.
import argparse
import os
import os.path as osp

from mmdet.utils import register_all_modules, setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .checkpoint_loaders import load_checkpoints_safely
from .unsqueeze import apply_unsqueeze


def add_cfg_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--cfg-options``.

    Args:
        parser (argparse.ArgumentParser): The parser.
        example (str): A ``key=value`` for the help.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'settings that replace those of the config, such as {example}',
    )


def add_run_arguments(parser: argparse.ArgumentParser, example: str) -> None:
    """Add the options that the runners share.

    Args:
        parser (argparse.ArgumentParser): The parser.
        example (str): A ``key=value`` for the help of ``--cfg-options``.
    """
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and scores; default: `work_dir` of '
        'the config, or else ./work_dirs/ and the name of the config',
    )
    add_cfg_options(
        parser,
        f'{example} key="[a,b]" key="[(a,b),(c,d)]" (quoted and without '
        'blanks)',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run',
    )
    # `torch.distributed.launch` passes it in either spelling; torchrun sets
    # the environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def parse_run_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read a command line with a config, and set the rank of the process."""
    args = parser.parse_args()
    if not osp.isfile(args.config):
        parser.error(f'there is no config {args.config}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_run_config(args: argparse.Namespace) -> Config:
    """Prepare the process for a run and read its config.

    As every command line of MMDetection does: modules are registered,
    overrides merged, the work directory is set. Checkpoints are loaded safely.

    Args:
        args (argparse.Namespace): ``config``, ``launcher``, ``cfg_options``
            and ``work_dir``, the last two None if not given.

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
    apply_unsqueeze(cfg)
    cfg.setdefault('default_scope', 'mmdet')

    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        stem = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', stem)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config: of class ``runner_type`` if it has one."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)
