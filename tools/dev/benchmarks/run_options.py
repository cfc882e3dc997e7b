# Copyright (c) mmleuk authors. All rights reserved.
"""Options that benchmarks of trainings share."""

import argparse
from typing import Sequence


def add_run_options(
    parser: argparse.ArgumentParser,
    work_dir: str,
    seeds: Sequence[int] = (0, 1, 2),
    reported: str = 'all that it holds',
) -> None:
    """Add ``--seeds``, ``--work-dir`` and ``--record`` to a parser.

    Args:
        parser (argparse.ArgumentParser): The parser.
        work_dir (str): Default of ``--work-dir``.
        seeds (Sequence[int]): Default of ``--seeds``.
        reported (str): What the report is on, of a record.
    """
    parser.add_argument('--seeds', type=int, nargs='+', default=list(seeds))
    parser.add_argument('--work-dir', default=work_dir)
    parser.add_argument(
        '--record',
        metavar='FILE',
        help='JSON Lines file that the results are added to; the report is '
        f'on {reported} then',
    )


def add_report_only(parser: argparse.ArgumentParser) -> None:
    """Add ``--report-only`` to a parser."""
    parser.add_argument(
        '--report-only',
        action='store_true',
        help='train nothing, report on the results that are there',
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs`` to a parser."""
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        help='runs at a time, for large GPUs or CPUs; each has its share of '
        'the cores, unless OMP_NUM_THREADS says else',
    )


def add_choose(parser: argparse.ArgumentParser) -> None:
    """Add ``--choose`` to a parser."""
    parser.add_argument(
        '--choose',
        action='store_true',
        help='score on held-out train fields in place of validation data',
    )


def check_choose(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """End with an error if ``--choose`` meets ``--record``."""
    if args.record and args.choose:
        parser.error(
            '--record is for scores on validation data, not for --choose'
        )
