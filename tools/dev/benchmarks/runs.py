# Copyright (c) mmleuk authors. All rights reserved.
"""Training runs, their scores, and tables, for all benchmarks."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[3]

# Prefixes of the scores' keys. A teacher-student loop scores both models and
# keeps the teacher.
PREFIXES = ('lld/', 'teacher/lld/')
# Interval at which the time of a run is written, in seconds.
NOTE_INTERVAL = 30


def pick_scores(row: Mapping[str, float]) -> Optional[Dict[str, float]]:
    """Take the scores from a line of a log, None if it is no validation."""
    for prefix in PREFIXES:
        if f'{prefix}bbox_mAP' in row:
            return {
                f'lld/{key[len(prefix) :]}': value
                for key, value in row.items()
                if key.startswith(prefix)
            }
    return None


def read_scores(work_dir: Path) -> Dict[str, float]:
    """Read the last validation scores that a run logged."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    for log in reversed(logs):
        for line in reversed(log.read_text().splitlines()):
            scores = pick_scores(json.loads(line))
            if scores is not None:
                return scores
    raise RuntimeError(
        f'{work_dir} holds no validation scores, expected "lld/bbox_mAP" in '
        'its vis_data/scalars.json; see the log of the run'
    )


def read_final_scores(work_dir: Path) -> Optional[Dict[str, float]]:
    """Read the scores of the last checkpoint, None if it was not scored.

    A run that is interrupted between its last checkpoint and the validation
    after it logs no scores when it is resumed.
    """
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not logs:
        return None
    checkpoint = work_dir / 'last_checkpoint'
    if checkpoint.stat().st_mtime_ns > logs[-1].stat().st_mtime_ns:
        return None
    lines = logs[-1].read_text().splitlines()
    return pick_scores(json.loads(lines[-1])) if lines else None


def share_cores(jobs: int) -> None:
    """Divide the cores among parallel runs, unless OMP_NUM_THREADS is set.

    Two runs on one core each do about a third more than one on two cores.
    """
    if jobs > 1:
        if hasattr(os, 'sched_getaffinity'):
            cores = len(os.sched_getaffinity(0))
        else:
            cores = os.cpu_count() or 1
        os.environ.setdefault('OMP_NUM_THREADS', str(max(1, cores // jobs)))


def revision() -> str:
    """Short hash of the code, with ``-dirty`` if files have changed."""
    command = ['git', 'describe', '--always', '--dirty', '--exclude', '*']
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return done.stdout.strip()


def run(
    command: Sequence[str],
    work_dir: Path,
    about: Mapping,
    resumes: bool = False,
    score: Callable[[Path], Dict[str, float]] = read_scores,
) -> dict:
    """Train once, or read the result of an earlier run.

    Args:
        command (Sequence[str]): Command line of the training.
        work_dir (Path): Its working directory, for ``stdout.log`` and
            ``result.json``.
        about (Mapping): Entries of the result that describe the run.
        resumes (bool): Whether the command resumes an interrupted run, so
            that the time before counts.
        score (Callable): Gives the scores of a finished run by its working
            directory.

    Returns:
        dict: The entries of ``about``, ``revision`` of the code, ``minutes``
        of training and validating, and ``scores``.

    Raises:
        RuntimeError: If the training fails.
    """
    result_file = work_dir / 'result.json'
    if result_file.exists():
        return json.loads(result_file.read_text())
    minutes = run_logged(command, work_dir, resumes)
    result = dict(
        about, revision=revision(), minutes=minutes, scores=score(work_dir)
    )
    result_file.write_text(json.dumps(result, indent=1))
    return result


def run_all(
    trainings: Sequence[Tuple[str, Callable[[], dict]]], at_a_time: int = 1
) -> List[str]:
    """Do several runs; one that fails stops no other.

    Args:
        trainings (Sequence[tuple[str, Callable]]): For each run its name, and
            what does it and returns the result of :func:`run`.
        at_a_time (int): Runs at a time.

    Returns:
        list[str]: The messages of failures.
    """
    failures: List[str] = []

    def work(name: str, training: Callable[[], dict]) -> None:
        try:
            result = training()
        except RuntimeError as error:
            failures.append(f'{name}: {error}')
            print(f'{name}: failed', flush=True)
            return
        score = result['scores'].get('lld/bbox_mAP')
        text = '' if score is None else f'AP {score:.3f} in '
        print(f'{name}: {text}{result["minutes"]:.1f} minutes', flush=True)

    pool = ThreadPoolExecutor(at_a_time)
    try:
        for future in [pool.submit(work, *training) for training in trainings]:
            future.result()
    finally:
        # After Ctrl+C no other run may start.
        pool.shutdown(cancel_futures=True)
    return failures


def run_logged(
    command: Sequence[str], work_dir: Path, resumes: bool = False
) -> float:
    """Run a command; return its minutes with all interrupted attempts.

    Output goes to ``stdout.log``, the time to ``minutes.json``.

    Raises:
        RuntimeError: If it fails.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    log_file = work_dir / 'stdout.log'
    minutes_file = work_dir / 'minutes.json'
    before = 0.0
    if resumes and minutes_file.exists():
        before = json.loads(minutes_file.read_text())
    start = time.monotonic()
    with open(log_file, 'a' if resumes else 'w') as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(NOTE_INTERVAL)
                minutes = before + (time.monotonic() - start) / 60
                minutes_file.write_text(json.dumps(minutes))
        finally:
            process.terminate()
    if process.returncode:
        raise RuntimeError(
            f'{" ".join(command)} ended with code {process.returncode}; its '
            f'output is in {log_file}'
        )
    return minutes


def last_checkpoint(work_dir: Path) -> Path:
    """Path of the last checkpoint of a training; the folder may move."""
    return work_dir / Path((work_dir / 'last_checkpoint').read_text()).name


def run_test(
    config: Path,
    work_dir: Path,
    cfg_options: Sequence[str] = (),
    dump: Optional[Path] = None,
) -> Path:
    """Run ``tools/test.py`` on the last checkpoint of a training.

    Args:
        config (Path): The config.
        work_dir (Path): Working directory of the training; the test has the
            folder ``test`` in it.
        cfg_options (Sequence[str]): ``key=value`` overrides for the test.
        dump (Path, optional): Pickle that the predictions are written to.

    Returns:
        Path: The folder of the test.

    Raises:
        RuntimeError: If the test fails.
    """
    folder = work_dir / 'test'
    command = [str(ROOT / 'tools' / 'test.py'), str(config)]
    command += [str(last_checkpoint(work_dir)), '--work-dir', str(folder)]
    if dump:
        command += ['--out', str(dump)]
    if cfg_options:
        command += ['--cfg-options', *cfg_options]
    run_logged([sys.executable, *command], folder)
    return folder


def score_checkpoint(
    config: Path,
    work_dir: Path,
    cfg_options: Sequence[str] = (),
    dump: Optional[Path] = None,
) -> Dict[str, float]:
    """Score the last checkpoint of a training, see :func:`run_test`.

    Returns:
        dict: The scores.
    """
    folder = run_test(config, work_dir, cfg_options, dump)
    scores = json.loads(max(folder.glob('*/*.json')).read_text())
    return {k: v for k, v in scores.items() if k.startswith('lld/')}


def spread(values: Sequence, digits: str = '.3f') -> str:
    """Write the defined values as ``mean ± standard deviation``, or a dash."""
    values = defined(values)
    if not values:
        return '–'
    text = f'{statistics.mean(values):{digits}}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):{digits}}'
    return text


def defined(values: Sequence) -> List[float]:
    """Drop missing scores and undefined ones, which are negative or NaN."""
    return [value for value in values if value is not None and value >= 0]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    header, *others = rows
    lines = [header, ['---'] * len(header), *others]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
