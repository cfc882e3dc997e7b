# Copyright (c) mmleuk authors. All rights reserved.
"""What the tools have in common that read dumped predictions."""

import argparse
from pathlib import Path
from typing import Sequence, Tuple

from mmengine.config import Config, DictAction

from mmleuk.engine.dumped_results import find_lld_metric
from mmleuk.evaluation import LLDMetric


def add_dump_options(
    parser: argparse.ArgumentParser, score_thr_help: str
) -> None:
    """Add the options that say how a dump was made and is read.

    Args:
        parser (argparse.ArgumentParser): The parser.
        score_thr_help (str): What the tool takes the score threshold for.
    """
    parser.add_argument(
        '--split',
        choices=['test', 'val'],
        default='test',
        help='whose dataloader the results are of; tools/test.py takes that '
        'of the test (default)',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        help=f'{score_thr_help}; default: that of the LLDMetric in the config',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that the test replaced in the config',
    )


def check_dump_options(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    files: Sequence[str],
    shares: Sequence[str] = ('score_thr',),
) -> None:
    """Refuse missing files and shares out of range.

    Args:
        parser (argparse.ArgumentParser): The parser, which exits.
        args (argparse.Namespace): The arguments.
        files (Sequence[str]): Names of those that are files to read.
        shares (Sequence[str]): Names of options from 0 to 1.
    """
    for name in files:
        path = getattr(args, name)
        if path is not None and not Path(path).is_file():
            parser.error(f'there is no {name} {path}')
    for name in shares:
        value = getattr(args, name)
        if value is not None and not 0 <= value <= 1:
            option = '--' + name.replace('_', '-')
            parser.error(f'{option} is {value}, expected a number in [0, 1]')


def read_config(args: argparse.Namespace) -> Tuple[Config, LLDMetric]:
    """Read the config that a test ran with.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        tuple[Config, LLDMetric]: The config, and the metric of the split with
        the score threshold that was asked for.
    """
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    metric = find_lld_metric(cfg, f'{args.split}_evaluator')
    if args.score_thr is not None:
        metric.score_thr = args.score_thr
    return cfg, metric
