# Copyright (c) mmleuk authors. All rights reserved.
"""Train a detector as its config says, with MMDetection's command line."""

import argparse
import os
import os.path as osp

from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mmleuk.engine.latest_checkpoint import find_checkpoint
from mmleuk.engine.run_config import build_runner, load_run_config


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints; default: `work_dir` of the '
        'config, or else ./work_dirs/ and the name of the config',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or without one from the latest in '
        'the work directory',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the batch size actually used',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config, such as '
        'train_cfg.max_epochs=3 key="[a,b]" key="[(a,b),(c,d)]" (quoted and '
        'without blanks)',
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
    args = parser.parse_args()
    if not osp.isfile(args.config):
        parser.error(f'there is no config {args.config}')
    if args.amp and get_device() == 'cpu':
        parser.error(
            'MMEngine trains in mixed precision on an accelerator only, and '
            'torch sees none: leave out --amp'
        )
    if args.resume not in (None, 'auto') and '://' not in args.resume:
        if not osp.isfile(args.resume):
            parser.error(f'there is no checkpoint {args.resume} to resume')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and put the command line's settings into it.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        Config: What the runner is built from.
    """
    cfg = load_run_config(args)

    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')

    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SystemExit(
                f'--auto-scale-lr: {args.config} does not say for which '
                'batch size its learning rate is meant; set, for instance, '
                'auto_scale_lr=dict(enable=False, base_batch_size=16)'
            )
        cfg.auto_scale_lr.enable = True

    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = args.resume
        if args.resume == 'auto':
            cfg.load_from = find_checkpoint(cfg.work_dir)
    return cfg


def main() -> None:
    """Train."""
    args = parse_args()
    cfg = load_config(args)
    runner = build_runner(cfg)
    runner.train()


if __name__ == '__main__':
    main()
