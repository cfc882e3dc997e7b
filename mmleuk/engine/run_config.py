# Copyright (c) mmleuk authors. All rights reserved.
import argparse
import os
import os.path as osp

from mmdet.utils import register_all_modules, setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.dist import all_gather_object
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .checkpoint_loaders import load_checkpoints_safely
from .launchers import add_launcher, has_accelerator, join_processes
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
    add_launcher(parser)


def parse_run_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read a command line with a config, and set the rank of the process."""
    args = parser.parse_args()
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
    """Build the runner of a config: of class ``runner_type`` if it has one.

    Processes without an accelerator, which MMEngine does not start, are
    started with gloo.

    Raises:
        SystemExit: If processes start from different checkpoints.
    """
    if cfg.launcher != 'none' and not has_accelerator():
        timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
        join_processes(cfg.launcher, timeout=timeout)
        # MMEngine would name a GPU.
        cfg.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
            **cfg.get('model_wrapper_cfg', {}),
            'device_ids': None,
        }
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    check_same_start(cfg)
    return runner


def check_same_start(cfg: Config) -> None:
    """Check that all processes load the same checkpoint.

    Processes that don't would train different weights without an error: for
    instance if only one machine finds a checkpoint to resume from.

    Args:
        cfg (Config): The config of this process.

    Raises:
        SystemExit: In all processes, if they differ.
    """
    checkpoint = cfg.get('load_from')
    # Machines may see one folder under different paths.
    name = None if checkpoint is None else osp.basename(checkpoint)
    starts = all_gather_object((name, cfg.get('resume', False)))
    for rank, start in enumerate(starts):
        if start != starts[0]:
            raise SystemExit(
                f'process {rank} loads the checkpoint {start[0]}, expected '
                f'{starts[0][0]} as process 0 does: all machines have to '
                f'share the work directory {cfg.work_dir}'
            )
