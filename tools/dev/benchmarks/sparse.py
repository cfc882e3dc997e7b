# Copyright (c) mmleuk authors. All rights reserved.
"""Compare methods that learn from fields annotated in one rectangle each.

Trains method x data x labelled share x seed, every method on the same budget
of image pixels, scores the last epoch of each on validation data, and writes
``table.md``, ``curve.png`` and ``curve.svg``::

    python tools/dev/benchmarks/sparse.py --methods crop mined --shares 0.2 0.1

A run writes one ``result.json``. Started again, the benchmark resumes the
interrupted run and repeats none that is finished. It refuses to mix results
of changed configs.

Validation data serve the comparison alone. Choose settings with ``--choose``,
which holds out a quarter of the train fields, trains on the others and scores
on the held-out ones. Its results have a folder of their own. Every seed holds
out another quarter, since which few cells are labelled matters more than the
seed itself::

    python tools/dev/benchmarks/sparse.py --choose --methods self-training \
        --shares 0.2 --cfg-options self_training.labeller_share=0.5

``--record`` adds the results to a file, for another day or computer::

    python tools/dev/benchmarks/sparse.py --report-only \
        --record docs/results/sparse.jsonl

With ``--redraw`` every seed labels other rectangles of the same share, and
the spread includes that of the draws. Results have a folder of their own.
"""

import argparse
import hashlib
import os.path as osp
import re
import sys
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import records
import runs
import sparse_report
from mmengine.config import Config, DictAction
from run_options import (
    add_choose,
    add_jobs,
    add_report_only,
    add_run_options,
    check_choose,
)
from sparse_data import (
    NUM_PARTS,
    SOURCES,
    Annotations,
    use_annotations,
    use_budget,
)

from mmleuk.engine.write_once import write_once

# Configs by method; each has one for every data set.
FULL = 'full'
METHODS = {
    FULL: 'baselines/full-attr-faster-rcnn_lite0_fpn',
    'naive': 'baselines/naive-attr-faster-rcnn_lite0_fpn',
    'ignore': 'baselines/ignore-attr-faster-rcnn_lite0_fpn',
    'crop': 'baselines/crop-attr-faster-rcnn_lite0_fpn',
    'self-training': 'baselines/self-training-attr-faster-rcnn_lite0_fpn',
    'sla-det': 'baselines/sla-det-attr-faster-rcnn_lite0_fpn',
    'soft-teacher': 'baselines/soft-teacher-attr-faster-rcnn_lite0_fpn',
    'mosaic': 'region_sparse/mosaic-attr-faster-rcnn_lite0_fpn',
    'self-mined': 'region_sparse/self-mined-attr-faster-rcnn_lite0_fpn',
    'mined': 'region_sparse/mined-attr-faster-rcnn_lite0_fpn',
}
# How configs name the data: with all labels, with sparse ones.
DATA_NAMES = dict(
    pbc=('pbc-fields', 'pbc-fields-sparse'),
    bccd=('bccd-fields', 'bccd-fields-sparse'),
    synthetic=('synthetic', 'synthetic-sparse'),
    lld=('lld-40x', 'lld-40x-sparse'),
)
# Folder of results on rectangles drawn anew. ``FULL`` has no rectangles: its
# results are shared.
REDRAWN = 'redrawn'
# The method that has a tool of its own, and its setting.
SELF_TRAINED = 'self-training'
SELF_TRAINING = 'self_training'


class Run(NamedTuple):
    """One cell of the matrix.

    Args:
        method (str): Key of ``METHODS``.
        data (str): Key of ``SOURCES``.
        share (float): Annotated share of each train field.
        seed (int): Seed of the training.
    """

    method: str
    data: str
    share: float
    seed: int

    def __str__(self) -> str:
        return (
            f'{self.method} on {self.data}, share {self.share:g}, seed '
            f'{self.seed}'
        )

    @property
    def config(self) -> Path:
        """Path: The config of the method."""
        data = DATA_NAMES[self.data][self.method != FULL]
        return runs.ROOT / 'configs' / f'{METHODS[self.method]}_{data}.py'

    def folder(self, base: Path, cfg_options: Sequence[str]) -> Path:
        """Path of the working directory below the folder of all runs."""
        folder = base / self.data / self.method
        if self.method != FULL:
            folder /= f'share_{self.share:g}'
        if cfg_options:
            folder /= slug(cfg_options)
        return folder / f'seed_{self.seed}'


# A run, its config and its working directory.
Job = Tuple[Run, Path, Path]


def slug(cfg_options: Sequence[str]) -> str:
    """Turn overrides into the name of a folder."""
    text = ' '.join(sorted(cfg_options))
    name = re.sub(r'[^\w.=-]+', '_', text)
    if name == text and len(name) <= 80:
        return name
    # The digest tells apart overrides that differ in lost characters.
    return f'{name[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--methods', nargs='+', choices=METHODS, default=list(METHODS)
    )
    parser.add_argument('--data', nargs='+', choices=SOURCES, default=['pbc'])
    parser.add_argument(
        '--shares',
        type=float,
        nargs='+',
        default=[0.2, 0.1, 0.05],
        help=f'annotated shares of a field, above 0 and below 1; {FULL!r} '
        'has all labels whatever they are',
    )
    add_run_options(parser, 'work_dirs/benchmark_sparse')
    add_choose(parser)
    parser.add_argument(
        '--redraw',
        action='store_true',
        help='cut other rectangles for every seed, in place of those that '
        'come with the data',
    )
    add_report_only(parser)
    add_jobs(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='overrides for every run; runs of other overrides are apart',
    )
    args = parser.parse_args()
    if not all(0 < share < 1 for share in args.shares):
        parser.error(
            f'--shares are {args.shares}, expected numbers above 0 and below 1'
        )
    check_choose(parser, args)
    return args


def parse_options(cfg_options: Sequence[str]) -> dict:
    """Parse ``key=value`` overrides as MMEngine does."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction)
    arguments = ['--cfg-options', *cfg_options]
    return parser.parse_args(arguments).cfg_options or {}


def list_runs(args: argparse.Namespace) -> List[Run]:
    """List the matrix, one seed after the other."""
    matrix = [
        Run(method, data, 1 if method == FULL else share, seed)
        for seed in args.seeds
        for data in args.data
        for share in args.shares
        for method in args.methods
    ]
    matrix = list(dict.fromkeys(matrix))
    missing = {run.config: run for run in matrix if not run.config.is_file()}
    if missing:
        raise FileNotFoundError(
            'there are no configs '
            + ', '.join(osp.relpath(config) for config in missing)
            + ': write them, or leave out their methods (--methods) or data '
            '(--data)'
        )
    return matrix


def prepare(
    run: Run,
    work_dir: Path,
    annotations: Annotations,
    cfg_options: Sequence[str],
) -> Path:
    """Write the config of one run.

    Args:
        run (Run): The run.
        work_dir (Path): Its working directory.
        annotations (Annotations): The annotation files of its data.
        cfg_options (Sequence[str]): The ``key=value`` overrides.

    Returns:
        Path: The config, which has all settings in it.

    Raises:
        FileExistsError: If the directory holds a run of other settings.
    """
    cfg = Config.fromfile(run.config)
    cfg.merge_from_dict(parse_options(cfg_options))
    cfg.merge_from_dict({'randomness.seed': run.seed})
    use_annotations(cfg, annotations, run.share)
    use_budget(cfg, run.share)
    folder = work_dir / 'config'
    if SELF_TRAINING in cfg:
        # The data of the labeller are those of the config, and its path is
        # relative to it.
        path = run.config.parent / cfg[SELF_TRAINING].labeller
        labeller = Config.fromfile(path)
        use_budget(labeller, run.share)
        write_once(folder / path.name, labeller.pretty_text)
        cfg[SELF_TRAINING].labeller = path.name
    return write_once(folder / run.config.name, cfg.pretty_text)


def tool(name: str) -> str:
    """Path of one of the project's tools."""
    return str(runs.ROOT / 'tools' / name)


def score(config: Path, work_dir: Path) -> Dict[str, float]:
    """Read the final scores of a run, or run the test if it logged none."""
    scores = runs.read_final_scores(work_dir)
    return (
        runs.score_checkpoint(config, work_dir) if scores is None else scores
    )


def train(
    run: Run,
    config: Path,
    work_dir: Path,
    cfg_options: Sequence[str],
    redrawn: bool,
) -> dict:
    """Do one run, or resume it.

    Args:
        run (Run): The run.
        config (Path): What :func:`prepare` wrote.
        work_dir (Path): Its working directory.
        cfg_options (Sequence[str]): Overrides that are in the config, for the
            result.
        redrawn (bool): Whether its rectangles were drawn anew, for the
            result.

    Returns:
        dict: ``method``, ``data``, ``share``, ``seed``, ``cfg_options``,
        ``redrawn`` and what :func:`runs.run` adds.
    """
    command = [str(config), '--work-dir', str(work_dir)]
    if run.method == SELF_TRAINED:
        # It resumes by itself.
        command.insert(0, tool('self_train.py'))
    else:
        command = [tool('train.py'), *command, '--resume']
    return runs.run(
        [sys.executable, *command],
        work_dir,
        dict(run._asdict(), cfg_options=sorted(cfg_options), redrawn=redrawn),
        resumes=True,
        score=lambda folder: score(config, folder),
    )


def redraws(args: argparse.Namespace, run: Run) -> bool:
    """Tell whether a run has rectangles of its own."""
    return args.redraw and run.method != FULL


def prepare_all(args: argparse.Namespace, base: Path) -> List[Job]:
    """Write the configs of all runs, before the first training starts."""
    jobs = []
    for run in list_runs(args):
        redrawn = redraws(args, run)
        own = base / REDRAWN if redrawn else base
        cut = own / 'annotations' / run.data
        part = run.seed % NUM_PARTS if args.choose else None
        if part is not None:
            cut /= f'part_{part}'
        if redrawn:
            cut /= f'cut_{run.seed}'
        annotations = Annotations(
            SOURCES[run.data], cut, part, run.seed if redrawn else None
        )
        folder = run.folder(own / 'runs', args.cfg_options)
        config = prepare(run, folder, annotations, args.cfg_options)
        jobs.append((run, config, folder))
    return jobs


def train_all(args: argparse.Namespace, jobs: Sequence[Job]) -> List[str]:
    """Do all runs that are missing; return the messages of failures."""
    trainings = [
        (
            str(run),
            partial(
                train,
                run,
                config,
                folder,
                args.cfg_options,
                redrawn=redraws(args, run),
            ),
        )
        for run, config, folder in jobs
    ]
    return runs.run_all(trainings, args.jobs)


def main() -> None:
    """Do all runs that are missing and report on all that are there."""
    args = parse_args()
    base = Path(args.work_dir)
    if args.choose:
        base /= 'choose'
    failures: List[str] = []
    runs.share_cores(args.jobs)
    if not args.report_only:
        try:
            jobs = prepare_all(args, base)
        except (FileExistsError, FileNotFoundError, ValueError) as error:
            sys.exit(str(error))
        failures = train_all(args, jobs)
    results = sparse_report.load_results(base)
    results += sparse_report.load_results(base / REDRAWN)
    if args.record:
        try:
            results = records.update_record(Path(args.record), results)
        except ValueError as error:
            sys.exit(str(error))
    results = [
        r
        for r in results
        if r['method'] == FULL or r['redrawn'] == args.redraw
    ]
    if args.redraw:
        base /= REDRAWN
    if results:
        sparse_report.write_report(
            results, base, list(METHODS), list(SOURCES), FULL
        )
    else:
        failures.append(f'{base} holds no results')
    if failures:
        sys.exit('\n'.join(failures))


if __name__ == '__main__':
    main()
