# Copyright (c) mmleuk authors. All rights reserved.
"""Score a detector of white cells on microscopes that it has not seen.

Leaves each data set out of the training in turn, trains on each alone, and
tests every detector on the validation fields of all sets::

    python tools/dev/benchmarks/cross_domain.py --leave-out pig_wbc \
        bccd_fields --train-on --seeds 0

All runs have the same steps. The score from which a detection counts is the
best for the validation fields of the sets of the training, never for those of
the set that was left out. ``table.md`` and ``heat_map.png`` go into the work
directory. Started again, the benchmark resumes the interrupted run and repeats
none that is finished; ``--record`` adds the results to a file.

Sets that share patients or pictures are refused.
"""

import argparse
import copy
import hashlib
import itertools
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np
import records
import runs
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from run_options import add_report_only, add_run_options

from mmleuk.datasets.naming import normalise_patient
from mmleuk.engine.dataset_wrappers import iter_data_infos
from mmleuk.engine.dumped_results import read_dumped_results
from mmleuk.engine.run_config import add_cfg_options
from mmleuk.engine.write_once import write_once
from mmleuk.evaluation.functional import (
    evaluate_boxes,
    match_results,
)
from mmleuk.io.readers.lld_json import load_json
from mmleuk.visualization.plots.style import (
    ORANGE,
    ink_on,
    new_figure,
    save_figure,
    styled,
)
from mmleuk.visualization.plotting import load_pyplot

CONFIG = 'joint/wbc-faster-rcnn_lite0_fpn_any-film.py'
# Kind ('patient' or 'picture') and name.
Trace = Tuple[str, str]
# Key of the scores for the threshold.
THRESHOLD = 'score_threshold'
# Sets of cells that were cut out of pictures name these.
SOURCE = 'source'


class Job(NamedTuple):
    """One training.

    Args:
        config (Path): The config, with all settings in it.
        about (dict): What identifies the run: ``config``, ``cfg_options``,
            ``train`` (the sets) and ``seed``.
        work_dir (Path): Its working directory.
    """

    config: Path
    about: dict
    work_dir: Path

    def __str__(self) -> str:
        return f'{" + ".join(self.about["train"])}, seed {self.about["seed"]}'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--config', default=CONFIG, help='config of a joint training'
    )
    parser.add_argument(
        '--leave-out',
        nargs='*',
        metavar='SET',
        help='sets to leave out, one at a time; all by default',
    )
    parser.add_argument(
        '--train-on',
        nargs='*',
        metavar='SET',
        help='sets to train on, one at a time; all by default',
    )
    add_run_options(
        parser,
        'work_dirs/cross_domain',
        seeds=[0],
        reported='all that it holds of this config and these options',
    )
    add_report_only(parser)
    add_cfg_options(parser, 'train_cfg.max_epochs=6')
    return parser.parse_args()


def list_trainings(
    names: Sequence[str],
    leave_out: Optional[Sequence[str]] = None,
    train_on: Optional[Sequence[str]] = None,
) -> List[Tuple[str, ...]]:
    """List the sets of each training.

    Args:
        names (Sequence[str]): All sets.
        leave_out (Sequence[str], optional): Those to leave out, one at a
            time. None: all.
        train_on (Sequence[str], optional): Those to train on, one at a time.
            None: all.

    Returns:
        list[tuple[str]]: Sets in the order of ``names``.

    Raises:
        ValueError: If one is unknown, or there is no training.
    """
    chosen = [
        names if part is None else part for part in (leave_out, train_on)
    ]
    unknown = sorted(set(itertools.chain(*chosen)) - set(names))
    if unknown:
        raise ValueError(
            f'got the data sets {", ".join(unknown)}, expected some of '
            + ', '.join(names)
        )
    trainings = [
        tuple(name for name in names if name != left) for left in chosen[0]
    ]
    trainings += [(name,) for name in chosen[1]]
    if not trainings:
        raise ValueError(
            'got no data set for --leave-out and --train-on, expected one or '
            'more for either; without the options it is all'
        )
    return list(dict.fromkeys(trainings))


def set_names(cfg: Config) -> List[str]:
    """Name the sets of a joint config by their folders.

    Raises:
        ValueError: If the config trains and tests on different sets, or two
            have one folder.
    """
    train, test = (
        [Path(part.data_root).name for part in loader.dataset.datasets]
        for loader in (cfg.train_dataloader, cfg.test_dataloader)
    )
    if train != test or len(set(train)) < len(train):
        raise ValueError(
            f'the config trains on the sets {", ".join(train)} and tests on '
            f'{", ".join(test)}, expected the same, each once'
        )
    return train


def find_traces(part: dict) -> Set[Trace]:
    """Find what tells that two sets show the same patients or pictures.

    Args:
        part (dict): Config of an ``LLDDataset``.

    Returns:
        set[tuple[str]]: Each patient; each picture, by the digest of its
        file; and the name of each picture that a cell was cut out of, where
        the annotations state it.
    """
    traces = set()
    for info in iter_data_infos(DATASETS.build(part)):
        digest = hashlib.sha256(Path(info['img_path']).read_bytes())
        traces.add(('picture', digest.hexdigest()))
        if info['patient'] is not None:
            traces.add(('patient', normalise_patient(info['patient'])))
    if part.get('ann_file', '').endswith('.json'):
        labels = load_json(str(Path(part['data_root'], part['ann_file'])))
        traces |= {
            ('picture', Path(cell[SOURCE]).stem)
            for cell in labels['annotations']
            if SOURCE in cell
        }
    return traces


def check_overlap(parts: Dict[str, Sequence[dict]]) -> None:
    """Refuse sets that share patients or pictures.

    Args:
        parts (dict[str, Sequence[dict]]): Dataset configs of each set:
            training and test.

    Raises:
        ValueError: If two sets share some, or the training of a set and its
            test share a picture.
    """
    traces = {name: list(map(find_traces, own)) for name, own in parts.items()}
    pairs = [
        (f'{name} (training)', f'{name} (test)', train, test)
        for name, (train, test) in traces.items()
    ]
    # One set may test on patients of its training: it is no new microscope.
    shared = [
        (first, second, {trace for trace in a & b if trace[0] == 'picture'})
        for first, second, a, b in pairs
    ]
    shared += [
        (first, second, set.union(*a) & set.union(*b))
        for (first, a), (second, b) in itertools.combinations(
            traces.items(), 2
        )
    ]
    for first, second, common in shared:
        if common:
            kind, name = min(common)
            raise ValueError(
                f'{first} and {second} share {len(common)} patients or '
                f'pictures, such as the {kind} {name}, expected none: a '
                'score on a set that was trained on says nothing about a '
                'new microscope. Leave one of them out of the config'
            )


def choose_parts(cfg: Config, train: Sequence[str], names: List[str]) -> None:
    """Train on some sets of a joint config, and test on all, in place.

    Fewer sets are repeated, so that all trainings have about as many steps
    as one that leaves out a single set.
    """
    dataset = cfg.train_dataloader.dataset
    parts = [dataset.datasets[names.index(name)] for name in train]
    times = max(1, round((len(names) - 1) / len(parts)))
    if times > 1:
        parts = [
            dict(type='RepeatDataset', times=times, dataset=part)
            for part in parts
        ]
    dataset.datasets = parts
    # The last checkpoint is tested, and none is chosen.
    cfg.train_cfg.pop('val_interval', None)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    # The scores are computed from the predictions, one set at a time.
    cfg.test_evaluator = dict(type='mmleuk.LLDMetric')


def prepare(
    cfg: Config, args: argparse.Namespace, train: Sequence[str], seed: int
) -> Job:
    """Write the config of one run.

    Raises:
        FileExistsError: If the directory holds a run of other settings.
    """
    names = set_names(cfg)
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({'randomness.seed': seed})
    choose_parts(cfg, train, names)
    work_dir = Path(args.work_dir, '+'.join(train), f'seed_{seed}')
    name = Path(args.config).name
    config = write_once(work_dir / 'config' / name, cfg.pretty_text)
    about = dict(
        config=Path(args.config).stem,
        cfg_options=args.cfg_options or {},
        train=list(train),
        seed=seed,
    )
    return Job(config, about, work_dir)


def train(job: Job) -> dict:
    """Do one run, or resume it."""
    command = [sys.executable, str(runs.ROOT / 'tools' / 'train.py')]
    command += [str(job.config), '--work-dir', str(job.work_dir), '--resume']
    return runs.run(
        command,
        job.work_dir,
        job.about,
        resumes=True,
        score=lambda folder: score(job, folder),
    )


def score(job: Job, work_dir: Path) -> Dict[str, float]:
    """Score the last checkpoint of a run on each set.

    Returns:
        dict: :func:`score_sets`.
    """
    cfg = Config.fromfile(job.config)
    dataset = cfg.test_dataloader.dataset
    dump = work_dir / 'test' / 'predictions.pkl'
    runs.run_test(job.config, work_dir, dump=dump)
    results = read_dumped_results(dump, dataset)
    by_set: Dict[str, List[dict]] = {
        Path(part.data_root).name: [] for part in dataset.datasets
    }
    for image in results.images:
        # The folder of the set is in the path of its images.
        owners = [n for n in by_set if n in Path(image['name']).parts]
        by_set[owners[0]].append(image)
    return score_sets(by_set, job.about['train'])


def score_sets(
    by_set: Dict[str, List[dict]], train: Sequence[str]
) -> Dict[str, float]:
    """Score detections on each set, and at one threshold for all.

    Args:
        by_set (dict[str, list[dict]]): Images of each set, as
            :func:`match_results` takes them.
        train (Sequence[str]): The sets of the training.

    Returns:
        dict[str, float]: ``score_threshold``, and by ``SET/`` ``AP50``,
        ``precision``, ``recall``, ``cells`` and ``false_alarms``.
    """
    matched = {
        name: match_results(images, 1, None) for name, images in by_set.items()
    }
    parts = {
        name: (*part.right_or_wrong()[:2], len(part.cell_labels))
        for name, part in matched.items()
    }
    threshold = choose_threshold([parts[name] for name in train])
    scores = {THRESHOLD: threshold}
    for name, (values, right, cells) in parts.items():
        boxes = evaluate_boxes(matched[name].images, 1)
        found = right[values >= threshold]
        scores[f'{name}/AP50'] = boxes['mAP_50']
        # No detection, no false alarm.
        scores[f'{name}/precision'] = found.mean() if len(found) else 1.0
        scores[f'{name}/recall'] = found.sum() / cells
        scores[f'{name}/cells'] = cells
        scores[f'{name}/false_alarms'] = (~found).sum()
    return {key: float(value) for key, value in scores.items()}


def choose_threshold(
    parts: Sequence[Tuple[np.ndarray, np.ndarray, int]],
) -> float:
    """Choose the score of the highest F1, the mean over sets.

    Args:
        parts (Sequence[tuple]): Of each set the scores of the detections,
            shape (n, ), whether each is right, bool, and the number of
            cells.

    Returns:
        float: One of 0.01, 0.02, ..., 0.99; of equal ones the highest.
    """

    def mean_f1(threshold: float) -> float:
        values = []
        for scores, right, cells in parts:
            found = right[scores >= threshold]
            values.append(2 * found.sum() / (len(found) + cells))
        return float(np.mean(values))

    steps = np.arange(99, 0, -1) / 100
    return float(max(steps, key=mean_f1))


def tabulate(results: Sequence[dict], names: Sequence[str]) -> str:
    """Write all scores as Markdown, one training a row."""
    tables = []
    for key in ('AP50', 'precision', 'recall'):
        rows = [['trained on', 'seeds', *names]]
        for train, group in group_results(results).items():
            rows.append(
                [
                    ' + '.join(train),
                    ', '.join(str(r['seed']) for r in group),
                    *(
                        runs.spread(
                            [r['scores'][f'{name}/{key}'] for r in group],
                            '.2f',
                        )
                        + ('' if name in train else ' \\*')
                        for name in names
                    ),
                ]
            )
        tables += [f'{key}:', runs.markdown_table(rows)]
    tables.append(
        '\\* not trained on. Precision and recall at the score of the best F1 '
        'on the sets of the training.'
    )
    return '\n\n'.join(tables) + '\n'


def group_results(
    results: Sequence[dict],
) -> Dict[Tuple[str, ...], List[dict]]:
    """Group results by what was trained on, most sets first."""
    groups: Dict[Tuple[str, ...], List[dict]] = {}
    for result in sorted(results, key=lambda r: -len(r['train'])):
        groups.setdefault(tuple(result['train']), []).append(result)
    return groups


@styled
def draw_heat_map(results: Sequence[dict], names: Sequence[str]) -> Any:
    """Draw AP50 by training and test set; return the figure."""
    groups = group_results(results)
    table = np.array(
        [
            [
                np.mean([r['scores'][f'{name}/AP50'] for r in group])
                for name in names
            ]
            for group in groups.values()
        ]
    )
    figure, body = new_figure(
        2.6 + 1.2 * len(names),
        1.2 + 0.6 * len(groups),
        'White cells of other microscopes',
        'AP50 on validation fields; a frame: set not trained on',
    )
    axis = body.subplots()
    picture = axis.imshow(table, vmin=0, vmax=1, cmap='Blues', aspect='auto')
    for row, train in enumerate(groups):
        for column, name in enumerate(names):
            value = table[row, column]
            axis.text(
                column,
                row,
                f'{value:.2f}',
                ha='center',
                va='center',
                color=ink_on(picture.cmap(picture.norm(value))),
            )
            if name not in train:
                axis.add_patch(
                    load_pyplot().Rectangle(
                        (column - 0.46, row - 0.46),
                        0.92,
                        0.92,
                        fill=False,
                        edgecolor=ORANGE,
                        linewidth=2,
                    )
                )
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(
        range(len(groups)), [label(train, names) for train in groups]
    )
    axis.set_xlabel('tested on')
    axis.set_ylabel('trained on')
    return figure


def label(train: Sequence[str], names: Sequence[str]) -> str:
    """Name the sets of a training in short."""
    left = [name for name in names if name not in train]
    if len(left) == 1 and len(train) > 1:
        return f'all but {left[0]}'
    return ' + '.join(train)


def main() -> None:
    """Do all runs that are missing and report on all that are there."""
    args = parse_args()
    register_all_modules()
    path = runs.ROOT / 'configs' / args.config
    cfg = Config.fromfile(path if path.is_file() else args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    try:
        names = set_names(cfg)
        trainings = list_trainings(names, args.leave_out, args.train_on)
        jobs = [
            prepare(cfg, args, sets, seed)
            for seed in args.seeds
            for sets in trainings
        ]
        if not args.report_only:
            loaders = cfg.train_dataloader, cfg.test_dataloader
            parts = zip(*(loader.dataset.datasets for loader in loaders))
            check_overlap(dict(zip(names, parts)))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    failures = runs.run_all(
        []
        if args.report_only
        else [(str(job), partial(train, job)) for job in jobs]
    )
    files = [job.work_dir / 'result.json' for job in jobs]
    results = [json.loads(f.read_text()) for f in files if f.is_file()]
    if args.record:
        try:
            results = records.update_record(Path(args.record), results)
        except ValueError as error:
            sys.exit(str(error))
        # Others would be averaged with them.
        results = [
            result
            for result in results
            if all(
                result[key] == jobs[0].about[key]
                for key in ('config', 'cfg_options')
            )
        ]
    if results:
        tables = tabulate(results, names)
        print(tables)
        folder = Path(args.work_dir)
        (folder / 'table.md').write_text(tables, encoding='utf-8')
        save_figure(draw_heat_map(results, names), folder, 'heat_map')
    else:
        failures.append(f'{args.work_dir} holds no results')
    if failures:
        sys.exit('\n'.join(failures))


if __name__ == '__main__':
    main()
