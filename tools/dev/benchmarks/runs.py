# Copyright (c) mmleuk authors. All rights reserved.
"""What the benchmarks share: training runs, their scores, and tables."""

import contextlib
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

ROOT = Path(__file__).resolve().parents[3]

# Keys of scores start so; a teacher-student loop puts who was scored first,
# and of the two the teacher is the model that is kept.
PREFIXES = ('lld/', 'teacher/lld/')
# How often the time that a run took is noted, in seconds.
NOTE_INTERVAL = 30


def pick_scores(row: Mapping[str, float]) -> Optional[Dict[str, float]]:
    """Take the scores out of one line of a log.

    Args:
        row (Mapping[str, float]): The line.

    Returns:
        dict[str, float] | None: Scores by metric key (``lld/...``), None if
        the line is of no validation.
    """
    for prefix in PREFIXES:
        if f'{prefix}bbox_mAP' in row:
            return {
                f'lld/{key[len(prefix) :]}': value
                for key, value in row.items()
                if key.startswith(prefix)
            }
    return None


def read_scores(work_dir: Path) -> Dict[str, float]:
    """Read the last validation scores that a run logged.

    Args:
        work_dir (Path): Working directory of one run.

    Returns:
        dict[str, float]: Scores by metric key.

    Raises:
        RuntimeError: If the run logged no validation.
    """
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
    """Read the scores of the weights that a run ended with.

    A run that is interrupted between its last checkpoint and the validation
    after it is done when it is started again, and logs no scores.

    Args:
        work_dir (Path): Working directory of one run.

    Returns:
        dict[str, float] | None: Scores by metric key, None if the last that
        the run logged is not a validation of its last checkpoint.
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
    """Let runs at a time use the cores side by side.

    With all cores for each, they would slow one another to a fraction, while
    two on a core each do about a third more than one on two cores.

    Args:
        jobs (int): Runs at a time. With one, or with ``OMP_NUM_THREADS`` set,
            nothing changes.
    """
    if jobs > 1:
        if hasattr(os, 'sched_getaffinity'):
            cores = len(os.sched_getaffinity(0))
        else:
            cores = os.cpu_count() or 1
        os.environ.setdefault('OMP_NUM_THREADS', str(max(1, cores // jobs)))


def revision() -> str:
    """Tell which revision of the code is at work.

    Returns:
        str: Its short hash, with ``-dirty`` if files have changed since, or
        'unknown' for code that is in no repository.
    """
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
    """Train once, or fetch what that gave before.

    Args:
        command (Sequence[str]): Command line of the training.
        work_dir (Path): Its working directory. What it prints goes to
            ``stdout.log``, the result to ``result.json``.
        about (Mapping): What the result shall say of the run.
        resumes (bool): Whether the command goes on where it was interrupted,
            so that the time that it took before counts. Defaults to False.
        score (Callable): Gives the scores of a finished run by its working
            directory. Defaults to :func:`read_scores`.

    Returns:
        dict: What is in ``about``, ``revision`` of the code, ``minutes`` of
        training and validating, and ``scores``.

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


def run_logged(
    command: Sequence[str], work_dir: Path, resumes: bool = False
) -> float:
    """Run a command, with its output and the time that it took in files.

    Args:
        command (Sequence[str]): The command line.
        work_dir (Path): Where the files go. It is made.
        resumes (bool): Whether earlier output and time belong to this run.

    Returns:
        float: Minutes that it took, with all interrupted attempts.

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


def spread(values: Sequence, digits: str = '.3f') -> str:
    """Write values as ``mean ± standard deviation``.

    Args:
        values (Sequence): The values; those that are undefined are left out.
        digits (str): Format of a number. Defaults to three decimals.

    Returns:
        str: The text; of one value without a deviation, which it does not
        have, and of none a dash.
    """
    values = defined(values)
    if not values:
        return '–'
    text = f'{statistics.mean(values):{digits}}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):{digits}}'
    return text


def defined(values: Sequence) -> List[float]:
    """Leave out scores that a run does not have or that are undefined.

    MMDetection writes -1 for an undefined AP, LLDMetric NaN.
    """
    return [value for value in values if value is not None and value >= 0]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table.

    Args:
        rows (Sequence[Sequence[str]]): Its cells, the header first.

    Returns:
        str: The table.
    """
    header, *others = rows
    lines = [header, ['---'] * len(header), *others]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
