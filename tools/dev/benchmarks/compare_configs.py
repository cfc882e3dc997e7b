# Copyright (c) mmleuk authors. All rights reserved.
"""Train and test configs under several seeds, and tabulate their scores.

Takes configs and folders of configs, trains each with ``tools/train.py``
(configs of self-training with ``tools/self_train.py``), tests the last
checkpoint, so that no epoch is picked by its score, and writes ``table.md``::

    python tools/dev/benchmarks/compare_configs.py configs/mmdet \
        --match lld-h100x-c1 --seeds 0 1 2 --gpus 8

A run writes one ``result.json``. Started again, the benchmark resumes the
interrupted run and repeats none that is finished. It refuses to mix results of
changed configs. ``--record`` adds the results to a file, for another day or
computer.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import records
import runs
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from run_options import add_jobs, add_run_options
from sparse_report import COLUMNS

from mmleuk.engine.run_config import add_cfg_options
from mmleuk.engine.write_once import write_once

SELF_TRAINING = 'self_training'
# Columns of the table of all configs, besides scores and times.
TYPE_PREFIX = 'lld/bbox_AP_'
ATTRIBUTE_PREFIX, ATTRIBUTE_SUFFIX = 'lld/attr_', '_macro_f1'


class Job(NamedTuple):
    """One training.

    Args:
        config (Path): The config, with all settings in it.
        about (dict): What identifies the run: ``config`` (its name),
            ``cfg_options``, ``gpus`` and ``seed``.
        work_dir (Path): Its working directory.
        command (list[str]): Command line of the training.
    """

    config: Path
    about: dict
    work_dir: Path
    command: List[str]

    def __str__(self) -> str:
        return f'{self.config.stem}, seed {self.about["seed"]}'


def parse_args(defaults: Sequence[str], work_dir: str) -> argparse.Namespace:
    """Read the command line.

    Args:
        defaults (Sequence[str]): Configs to compare if none is given; empty:
            some have to be given.
        work_dir (str): Default of ``--work-dir``.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'configs',
        nargs='*' if defaults else '+',
        default=list(defaults),
        help='configs, or folders of configs',
    )
    parser.add_argument(
        '--match',
        default='',
        help='take configs that have this in their name only, such as the '
        'data',
    )
    add_run_options(parser, work_dir)
    parser.add_argument(
        '--gpus',
        type=int,
        default=1,
        help='GPUs of this computer that a run takes',
    )
    add_jobs(parser)
    add_cfg_options(parser, 'train_cfg.max_epochs=12')
    args = parser.parse_args()
    if args.gpus > 1 and args.jobs > 1:
        parser.error('--jobs is for runs on one GPU, got --gpus, too')
    return args


def find_configs(paths: Sequence[str], match: str) -> List[Path]:
    """List configs, folders expanded, whose name has some text in it.

    Raises:
        FileNotFoundError: If a path does not exist, or nothing is left.
    """
    found: List[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f'there is no config or folder {path}')
        files = sorted(path.glob('*.py')) if path.is_dir() else [path]
        found += [file for file in files if match in file.name]
    if not found:
        raise FileNotFoundError(
            f'no config of {", ".join(paths)} has {match!r} in its name'
        )
    return list(dict.fromkeys(found))


def prepare(path: Path, seed: int, args: argparse.Namespace) -> Job:
    """Write the config of one run.

    Raises:
        FileExistsError: If the directory holds a run of other settings.
        ValueError: If the config cannot be trained on several GPUs.
    """
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(args.cfg_options or {})
    cfg.merge_from_dict({'randomness.seed': seed})
    work_dir = Path(args.work_dir) / path.stem / f'seed_{seed}'
    is_self_trained = SELF_TRAINING in cfg
    if is_self_trained:
        # It is relative to the config, which moves.
        labeller = path.parent / cfg[SELF_TRAINING].labeller
        cfg[SELF_TRAINING].labeller = str(labeller.resolve())
        if args.gpus > 1:
            raise ValueError(
                f'{path}: self-training runs on one GPU, got --gpus '
                f'{args.gpus}; leave it out by --match'
            )
    config = write_once(work_dir / 'config' / path.name, cfg.pretty_text)
    tools = runs.ROOT / 'tools'
    arguments = ['--work-dir', str(work_dir)]
    if is_self_trained:
        # It resumes by itself.
        command = [sys.executable, str(tools / 'self_train.py'), str(config)]
    elif args.gpus > 1:
        command = ['bash', str(tools / 'dist_train.sh'), str(config)]
        arguments = [str(args.gpus), *arguments, '--resume']
    else:
        command = [sys.executable, str(tools / 'train.py'), str(config)]
        arguments.append('--resume')
    about = dict(
        config=path.stem,
        cfg_options=args.cfg_options or {},
        gpus=args.gpus,
        seed=seed,
    )
    return Job(config, about, work_dir, [*command, *arguments])


def count_parameters(config: Path) -> int:
    """Count the parameters of the detector that predicts."""
    model = MODELS.build(Config.fromfile(config).model)
    detector = getattr(model, 'teacher', model)
    return sum(parameter.numel() for parameter in detector.parameters())


def train(
    job: Job, score: Optional[Callable[[Job], Dict[str, float]]] = None
) -> dict:
    """Do one run, or resume it.

    Args:
        job (Job): The run.
        score (Callable, optional): Gives the scores of a training that is
            finished; by default ``tools/test.py`` does.

    Returns:
        dict: What is said about it and what :func:`runs.run` adds. Its scores
        have the number of ``parameters``, too.
    """

    def test(folder: Path) -> Dict[str, float]:
        if score is None:
            options = ['test_evaluator.classwise=True']
            scores = runs.score_checkpoint(job.config, folder, options)
        else:
            scores = score(job)
        return dict(scores, parameters=count_parameters(job.config))

    return runs.run(
        job.command, job.work_dir, job.about, resumes=True, score=test
    )


def train_all(
    jobs: Sequence[Job],
    at_a_time: int,
    score: Optional[Callable[[Job], Dict[str, float]]] = None,
) -> List[str]:
    """Do all runs that are missing; return the messages of failures."""
    return runs.run_all(
        [(str(job), partial(train, job, score)) for job in jobs], at_a_time
    )


def make_tables(results: Sequence[dict]) -> str:
    """Write all scores as Markdown, one config a row.

    Args:
        results (Sequence[dict]): The results of all runs.

    Returns:
        str: A table of configs; one of the AP of each type; and one of the
        macro-F1 of each attribute, given a match, if there are any.
    """
    groups: Dict[str, List[dict]] = {}
    for result in results:
        options = [f'{k}={v}' for k, v in result['cfg_options'].items()]
        name = ' '.join(f'`{part}`' for part in [result['config'], *options])
        groups.setdefault(name, []).append(result)
    keys = {key for result in results for key in result['scores']}
    types = {
        key[len(TYPE_PREFIX) :].replace('_', ' '): key
        for key in sorted(keys)
        if key.startswith(TYPE_PREFIX)
    }
    attributes = {
        key[len(ATTRIBUTE_PREFIX) : -len(ATTRIBUTE_SUFFIX)]: key
        for key in sorted(keys)
        if key.startswith(ATTRIBUTE_PREFIX)
        and key.endswith(ATTRIBUTE_SUFFIX)
        and key not in COLUMNS.values()
    }

    def cells(group: Sequence[dict], columns: Dict[str, str]) -> List[str]:
        return [
            runs.spread([result['scores'].get(key) for result in group])
            for key in columns.values()
        ]

    header = ['config', 'parameters', 'seeds', *COLUMNS]
    rows = [[*header, 'minutes', 'revision']]
    for name, group in groups.items():
        millions = {f'{r["scores"]["parameters"] / 1e6:.1f} M' for r in group}
        rows.append(
            [
                name,
                ', '.join(sorted(millions)),
                ', '.join(str(r['seed']) for r in group),
                *cells(group, COLUMNS),
                runs.spread([r['minutes'] for r in group], '.1f'),
                # More than one: the mean is of different code.
                ', '.join(sorted({r['revision'] for r in group})),
            ]
        )
    tables = [
        'Last checkpoint of each run, mean ± standard deviation over seeds.',
        runs.markdown_table(rows),
    ]
    for title, columns in (
        ('Box AP by type', types),
        ('Attribute macro-F1, given a match', attributes),
    ):
        if columns:
            rows = [
                [name, *cells(group, columns)]
                for name, group in groups.items()
            ]
            tables.append(f'{title}:')
            tables.append(runs.markdown_table([['config', *columns], *rows]))
    return '\n\n'.join(tables) + '\n'


def main(
    defaults: Sequence[str] = (),
    work_dir: str = 'work_dirs/compare_configs',
) -> None:
    """Do all runs that are missing and tabulate all that are there.

    Args:
        defaults (Sequence[str]): Configs to compare if none is given.
        work_dir (str): Default of ``--work-dir``.
    """
    args = parse_args(defaults, work_dir)
    runs.share_cores(args.jobs)
    try:
        configs = find_configs(args.configs, args.match)
        jobs = [
            prepare(path, seed, args)
            for seed in args.seeds
            for path in configs
        ]
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    register_all_modules()
    failures = train_all(jobs, args.jobs)
    files = [job.work_dir / 'result.json' for job in jobs]
    results = [json.loads(f.read_text()) for f in files if f.is_file()]
    if args.record:
        try:
            results = records.update_record(Path(args.record), results)
        except ValueError as error:
            sys.exit(str(error))
    if results:
        tables = make_tables(results)
        print(tables)
        path = Path(args.work_dir) / 'table.md'
        path.write_text(tables, encoding='utf-8')
    if failures:
        sys.exit('\n'.join(failures))


if __name__ == '__main__':
    main()
