# Copyright (c) mmleuk authors. All rights reserved.
"""Train a detector as its config says, with MMDetection's command line."""

import argparse
import os.path as osp

from mmengine.config import Config
from mmengine.device import get_device

from mmleuk.config_files import config_path
from mmleuk.engine.latest_checkpoint import find_checkpoint
from mmleuk.engine.run_config import (
    add_run_arguments,
    build_runner,
    load_run_config,
    parse_run_args,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', type=config_path, help='path or name of the config'
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
    add_run_arguments(parser, 'train_cfg.max_epochs=3')
    args = parse_run_args(parser)
    if args.amp and get_device() == 'cpu':
        parser.error(
            'MMEngine trains in mixed precision on an accelerator only, and '
            'torch sees none: leave out --amp'
        )
    if args.resume not in (None, 'auto') and '://' not in args.resume:
        if not osp.isfile(args.resume):
            parser.error(f'there is no checkpoint {args.resume} to resume')
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
