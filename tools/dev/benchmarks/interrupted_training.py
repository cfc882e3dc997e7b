# Copyright (c) mmleuk authors. All rights reserved.
"""Kill a training at random moments and compare its end with a whole one.

Trains a config twice: once without interruption, once killed (SIGKILL) at
random moments and resumed by ``--resume auto``. Both must end with the same
weights, optimizer state, teacher, calibration and mining bank, bit for bit::

    python tools/dev/benchmarks/interrupted_training.py CONFIG --kills 3

Exit status: 0 where they are the same, 1 where they differ.
"""

import argparse
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List, Tuple

import torch

from mmleuk.engine.checkpoint_metadata import load_whole_checkpoint
from mmleuk.engine.latest_checkpoint import find_checkpoint

TRAIN = Path(__file__).resolve().parents[2] / 'train.py'
COMPARED = ('state_dict', 'optimizer', 'param_schedulers')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--kills', type=int, default=2, help='times to kill the training'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of training and killing'
    )
    parser.add_argument('--work-dir', default='work_dirs/interrupted_training')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='passed to every run'
    )
    args = parser.parse_args()
    if Path(args.work_dir).exists():
        parser.error(
            f'{args.work_dir} exists, and its run would be resumed. Remove '
            'it, or name another folder'
        )
    return args


def start(
    args: argparse.Namespace, work_dir: Path, resume: bool
) -> subprocess.Popen:
    """Start a training with its output in ``stdout.log``."""
    command = [sys.executable, str(TRAIN), args.config]
    command += ['--work-dir', str(work_dir)]
    command += ['--resume', 'auto'] if resume else []
    command += ['--cfg-options', f'randomness.seed={args.seed}']
    command += args.cfg_options
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / 'stdout.log').open('ab') as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def train_whole(args: argparse.Namespace, work_dir: Path) -> float:
    """Train without interruption; return seconds from the first checkpoint."""
    process = start(args, work_dir, resume=False)
    begin = None
    while process.poll() is None:
        if begin is None and (work_dir / 'last_checkpoint').is_file():
            begin = time.monotonic()
        time.sleep(0.05)
    if process.returncode != 0:
        sys.exit(f'the training failed: see {work_dir / "stdout.log"}')
    return time.monotonic() - begin


def train_and_kill(
    args: argparse.Namespace, work_dir: Path, seconds: float
) -> int:
    """Train, killed at random moments within the given seconds.

    Time counts from the first checkpoint. Returns the number of kills.
    """
    draw = random.Random(args.seed)
    num_killed = 0
    for kill in range(args.kills + 1):
        process = start(args, work_dir, resume=kill > 0)
        pointer = work_dir / 'last_checkpoint'
        before = pointer.stat().st_mtime_ns if pointer.is_file() else None
        while kill < args.kills and process.poll() is None:
            if pointer.is_file() and pointer.stat().st_mtime_ns != before:
                time.sleep(draw.uniform(0, seconds / (args.kills + 1)))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        process.wait()
        if process.returncode == -signal.SIGKILL:
            num_killed += 1
            print(f'- killed with {find_checkpoint(work_dir)} there')
        elif process.returncode != 0:
            sys.exit(f'the training failed: see {work_dir / "stdout.log"}')
    return num_killed


def differences(one: Any, other: Any, name: str = '') -> List[str]:
    """List the names of entries that differ in two parts of checkpoints."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in sorted({*one, *other}, key=str)
            for found in differences(
                one.get(key), other.get(key), f'{name}.{key}'
            )
        ]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) == len(other):
            return [
                found
                for number, pair in enumerate(zip(one, other))
                for found in differences(*pair, f'{name}.{number}')
            ]
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return [name]
        same = (one == other) | (one.isnan() & other.isnan())
        return [] if same.all() else [name]
    return [] if one == other else [name]


def count(part: Any) -> int:
    """Count the tensors and numbers in a part of a checkpoint."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        return sum(map(count, part))
    return 1


def compare(whole: Path, killed: Path) -> Tuple[int, List[str]]:
    """Compare the last checkpoints of two runs.

    Returns the number of entries and the names of those that differ.
    """
    parts = []
    for folder in (whole, killed):
        checkpoint = load_whole_checkpoint(find_checkpoint(folder))
        part = {key: checkpoint[key] for key in COMPARED if key in checkpoint}
        part['epoch'] = checkpoint['meta']['epoch']
        parts.append(part)
    return count(parts[0]), differences(*parts)


def main() -> None:
    """Train twice and compare."""
    args = parse_args()
    base = Path(args.work_dir)
    print('- the whole training', flush=True)
    seconds = train_whole(args, base / 'whole')
    print('- the one that is killed', flush=True)
    num_killed = train_and_kill(args, base / 'killed', seconds)
    num_compared, found = compare(base / 'whole', base / 'killed')
    print(f'Killed {num_killed} times. Entries compared: {num_compared}.')
    if not num_killed:
        sys.exit('It ended before it could be killed: train for longer.')
    if found:
        sys.exit(f'{len(found)} differ: {", ".join(found[:10])}')
    print('Both runs ended the same, bit for bit.')


if __name__ == '__main__':
    main()
