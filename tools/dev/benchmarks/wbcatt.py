# Copyright (c) mmleuk authors. All rights reserved.
"""Compare attribute heads on the real cells of ``wbcatt_fields``.

Trains named variants under several seeds, tests the last checkpoint of each,
and writes ``table.md``::

    python tools/dev/benchmarks/wbcatt.py --variants head attridet boxes \
        --seeds 0 1 2 --record docs/results/wbcatt.jsonl

A run writes one ``result.json``. Started again, the benchmark resumes the
interrupted run and repeats none that is finished. It refuses to mix results
of changed configs. Variants are combined by ``+``: ``logit-adjusted+jitter``.

Validation data serve the comparison alone. Choose settings with ``--choose``,
which holds out a quarter of the train fields, another one for every seed up
to four, trains on the others and scores on the held-out ones. ``--fields``
trains on fewer fields, ``FEW_EPOCHS`` epochs::

    python tools/dev/benchmarks/wbcatt.py --choose --fields 300 --seeds 0 \
        --variants head 512px roi20 logit-adjusted jitter ema

``--report-only`` trains nothing and reports on what is there.
"""

import argparse
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import compare_configs
import records
import runs
import sparse
import sparse_data
import sparse_report
from mmdet.utils import register_all_modules
from mmengine.config import Config
from morphology_scores import MISSED, score_dump
from run_options import (
    add_choose,
    add_jobs,
    add_report_only,
    add_run_options,
    check_choose,
)

from mmleuk.configs import resized
from mmleuk.engine.write_once import write_once

DATA = 'data/wbcatt_fields/json_labels'
# All labels are used: there is no sparse file.
SOURCE = sparse_data.Source(f'{DATA}/train.json', f'{DATA}/train.json')
HEAD = 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_wbcatt-fields.py'
ATTRIDET = 'attribute_rcnn/attridet-faster-rcnn_lite0_fpn_wbcatt-fields.py'
BOXES = 'baselines/faster-rcnn_lite0_fpn_wbcatt-fields.py'
# Epochs of a training on few fields: of 300 they are 750 steps.
FEW_EPOCHS = 10
ROI_HEAD = 'model.roi_head'
ATTRIBUTE_HEAD = f'{ROI_HEAD}.attribute_head'


class Variant(NamedTuple):
    """Settings that a training differs by.

    Args:
        config (str): The config.
        settings (dict): Keys of the config and their values.
        scale (tuple[int, int], optional): Size of the fields in pixels.
    """

    config: str = HEAD
    settings: dict = {}
    scale: Optional[Tuple[int, int]] = None


VARIANTS = {
    'head': Variant(),
    'attridet': Variant(ATTRIDET),
    'boxes': Variant(BOXES),
    '512px': Variant(scale=(512, 512)),
    'roi20': Variant(
        settings={
            f'{ROI_HEAD}.attribute_roi_extractor.roi_layer.output_size': 20
        }
    ),
    'logit-adjusted': Variant(
        settings={
            f'{ATTRIBUTE_HEAD}.long_tail': dict(type='mmleuk.LogitAdjustment')
        }
    ),
    'class-balanced': Variant(
        settings={
            f'{ATTRIBUTE_HEAD}.long_tail': dict(
                type='mmleuk.ClassBalancedWeights'
            )
        }
    ),
    'jitter': Variant(
        settings={
            f'{ROI_HEAD}.attribute_center_std': 0.05,
            f'{ROI_HEAD}.attribute_size_std': 0.1,
        }
    ),
    # The mean of some 200 steps.
    'ema': Variant(
        settings=dict(
            custom_hooks=[
                dict(
                    type='EMAHook',
                    ema_type='ExponentialMovingAverage',
                    momentum=0.005,
                    update_buffers=True,
                )
            ]
        )
    ),
}
IMMATURE = ('myelocyte', 'metamyelocyte')
# Types that they are confused with, in a column of their own.
CONFUSED = (*IMMATURE, 'neutrophil')

# Macro-F1 of a second human on 1,000 cells of PBC, by the README of the data.
# On other cells than the detectors'.
HUMAN = dict(
    cell_size=0.896,
    cell_shape=0.943,
    nucleus_shape=0.892,
    nuclear_cytoplasmic_ratio=0.963,
    chromatin_density=0.930,
    cytoplasm_vacuole=0.961,
    cytoplasm_texture=0.934,
    cytoplasm_colour=0.916,
    granule_type=0.997,
    granule_colour=0.984,
    granularity=0.999,
    mean=0.947,
)
# Tsutsui et al. (NeurIPS 2023): ResNet-50 on cropped cells, official test
# part.
PUBLISHED = dict(mean=0.9127)
HUMAN_OF_SIX = dict(
    cell_size=0.896,
    nuclear_chromatin=0.930,
    nuclear_shape=0.972,
    cytoplasm=0.963,
    cytoplasmic_basophilia=0.983,
    cytoplasmic_vacuoles=0.961,
    mean=0.951,
)
# LLD's six attributes that the labels have follow from the eleven: the LLD
# codes (0, 1) of each value.
SIX = {
    'cell_size': ('cell_size', (0, 1)),
    'nuclear_chromatin': ('chromatin_density', (0, 1)),
    'nuclear_shape': ('nucleus_shape', (0, 1, 1, 1, 1, 1)),
    'cytoplasm': ('nuclear_cytoplasmic_ratio', (1, 0)),
    'cytoplasmic_basophilia': ('cytoplasm_colour', (0, 1, 1)),
    'cytoplasmic_vacuoles': ('cytoplasm_vacuole', (0, 1)),
}
ELEVEN_PREFIX, SIX_PREFIX = 'lld/', 'six/'
# Columns of the table of variants.
COLUMNS = {
    'box AP': 'lld/bbox_mAP',
    'box AP50': 'lld/bbox_mAP_50',
    'attributes given a match': 'lld/attr_macro_f1',
    'attributes end to end': 'lld/attr_macro_f1_e2e',
    'of the majority of the type': 'lld/attr_macro_f1_type_majority',
    'of the predicted type': 'lld/attr_macro_f1_predicted_type',
    'within types': 'lld/attr_macro_f1_within_types',
    "LLD's six given a match": 'six/attr_macro_f1',
}
# Columns of the tables of attributes.
ATTRIBUTE_COLUMNS = {
    'given a match': 'macro_f1',
    'end to end': 'macro_f1_e2e',
    'majority of the true type': 'macro_f1_type_majority',
    'majority of the predicted type': 'macro_f1_predicted_type',
    'within types': 'macro_f1_within_types',
    'majority within types': 'macro_f1_within_types_majority',
}
CAPTION = """\
Last checkpoint of each run, mean ± standard deviation over seeds. Attribute
scores are macro-F1. The second human and the published ResNet-50 saw other
cells, cut out for them: the detectors find theirs first.
"""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--variants',
        nargs='+',
        default=['head', 'attridet', 'boxes'],
        help='some of '
        + ', '.join(VARIANTS)
        + ', or several of one config joined by "+"',
    )
    add_run_options(parser, 'work_dirs/benchmark_wbcatt')
    add_choose(parser)
    parser.add_argument(
        '--fields',
        type=int,
        metavar='N',
        help=f'train {FEW_EPOCHS} epochs on N fields, in place of the epochs '
        'of the config on all',
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
    check_choose(parser, args)
    if args.fields is not None and args.fields < 1:
        parser.error(f'--fields is {args.fields}, expected at least 1')
    try:
        for name in args.variants:
            find_variant(name)
    except ValueError as error:
        parser.error(f'--variants: {error}')
    return args


def find_variant(name: str) -> Variant:
    """Combine the variants that a name joins by '+'.

    Raises:
        ValueError: If one is unknown, or they are of two configs.
    """
    unknown = sorted(set(name.split('+')) - set(VARIANTS))
    if unknown:
        raise ValueError(
            f'got {", ".join(unknown)}, expected some of '
            + ', '.join(VARIANTS)
        )
    parts = [VARIANTS[part] for part in name.split('+')]
    configs = {part.config for part in parts if part.config != HEAD}
    if len(configs) > 1:
        raise ValueError(
            f'{name} joins {", ".join(sorted(configs))}, expected one config'
        )
    settings: dict = {}
    for part in parts:
        both = sorted(settings.keys() & part.settings.keys())
        if both:
            raise ValueError(
                f'{name} sets {", ".join(both)} twice, expected once'
            )
        settings.update(part.settings)
    scales = [part.scale for part in parts if part.scale]
    return Variant(
        configs.pop() if configs else HEAD,
        settings,
        scales[0] if scales else None,
    )


def use_scale(cfg: Config, scale: Tuple[int, int]) -> None:
    """Let all pipelines of a config resize to another size, in place."""
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset
        dataset.pipeline = resized(dataset.pipeline, scale)
    cfg.tta_pipeline = resized(cfg.tta_pipeline, scale)


def prepare(
    name: str, seed: int, args: argparse.Namespace, base: Path
) -> compare_configs.Job:
    """Write the config of one run.

    Raises:
        FileExistsError: If the directory holds a run of other settings.
        FileNotFoundError: If there are no data.
    """
    variant = find_variant(name)
    cfg = Config.fromfile(runs.ROOT / 'configs' / variant.config)
    if variant.scale:
        use_scale(cfg, variant.scale)
    cfg.merge_from_dict(variant.settings)
    part = seed % sparse_data.NUM_PARTS if args.choose else None
    annotations = sparse_data.Annotations(
        SOURCE, base / 'annotations' / f'part_{part}', part
    )
    sparse_data.use_annotations(cfg, annotations, share=1)
    folder = base / 'runs' / name
    if args.fields:
        cfg.train_dataloader.dataset.indices = args.fields
        cfg.train_cfg.max_epochs = FEW_EPOCHS
        folder /= f'fields_{args.fields}'
    cfg.merge_from_dict(sparse.parse_options(args.cfg_options))
    cfg.merge_from_dict({'randomness.seed': seed})
    # The test after the training scores the same checkpoint.
    cfg.train_cfg.val_begin = cfg.train_cfg.max_epochs + 1
    if args.cfg_options:
        folder /= sparse.slug(args.cfg_options)
    folder /= f'seed_{seed}'
    config = write_once(folder / 'config' / f'{name}.py', cfg.pretty_text)
    command = [str(runs.ROOT / 'tools' / 'train.py'), str(config)]
    about = dict(
        variant=name,
        fields=args.fields,
        cfg_options=sorted(args.cfg_options),
        seed=seed,
    )
    return compare_configs.Job(
        config,
        about,
        folder,
        [sys.executable, *command, '--work-dir', str(folder), '--resume'],
    )


def score(job: compare_configs.Job) -> Dict[str, float]:
    """Test the last checkpoint; keep its predictions beside it."""
    dump = job.work_dir / 'predictions.pkl'
    options = ['test_evaluator.classwise=True']
    scores = runs.score_checkpoint(job.config, job.work_dir, options, dump)
    more = score_dump(
        job.config,
        dump,
        runs.last_checkpoint(job.work_dir),
        IMMATURE,
        SIX,
        SIX_PREFIX,
    )
    return {**scores, **more}


def name_group(result: dict) -> str:
    """Name a variant with its settings."""
    parts = [result['variant'], *result['cfg_options']]
    if result['fields']:
        parts.insert(1, f'--fields {result["fields"]}')
    return ' '.join(f'`{part}`' for part in parts)


def cells_of(group: Sequence[dict], keys: Sequence[str]) -> List[str]:
    """Write the scores of a group under some keys."""
    return [
        runs.spread([result['scores'].get(key) for result in group])
        for key in keys
    ]


def variant_table(groups: Dict[str, List[dict]]) -> str:
    """Write the table of all variants."""
    rows = [['variant', 'seeds', *COLUMNS, 'minutes', 'revision']]
    for name, group in groups.items():
        rows.append(
            [
                name,
                ', '.join(str(result['seed']) for result in group),
                *cells_of(group, list(COLUMNS.values())),
                runs.spread([r['minutes'] for r in group], '.1f'),
                # More than one: the mean is of different code.
                ', '.join(sorted({r['revision'] for r in group})),
            ]
        )
    return runs.markdown_table(rows)


def attribute_table(
    group: Sequence[dict],
    prefix: str,
    human: Dict[str, float],
    published: Dict[str, float],
) -> str:
    """Write the table of the attributes of one variant, and their mean."""
    rows = [
        [
            'attribute',
            *ATTRIBUTE_COLUMNS,
            'second human',
            'published ResNet-50',
        ]
    ]
    for name in human:
        start = f'{prefix}attr_' + ('' if name == 'mean' else f'{name}_')
        keys = [f'{start}{key}' for key in ATTRIBUTE_COLUMNS.values()]
        rows.append(
            [
                name,
                *cells_of(group, keys),
                f'{human[name]:.3f}',
                f'{published[name]:.4f}' if name in published else '–',
            ]
        )
    return runs.markdown_table(rows)


def confusion_table(groups: Dict[str, List[dict]]) -> str:
    """Write how immature granulocytes were typed, in shares of the cells."""
    rows = [['variant', 'true type', *CONFUSED, 'another', MISSED]]
    for name, group in groups.items():
        for true in IMMATURE:
            counts: Dict[str, int] = {}
            for result in group:
                for key, count in result['scores'].items():
                    if key.startswith(f'confusion/{true}/'):
                        predicted = key.split('/')[2]
                        if predicted not in (*CONFUSED, MISSED):
                            predicted = 'another'
                        counts[predicted] = counts.get(predicted, 0) + count
            total = sum(counts.values())
            shares = [
                f'{counts.get(column, 0) / total:.1%}'.replace('%', ' %')
                if total
                else '–'
                for column in rows[0][2:]
            ]
            rows.append([name, true, *shares])
    return runs.markdown_table(rows)


def make_tables(results: Sequence[dict]) -> str:
    """Write all tables as Markdown."""
    names = list(VARIANTS)

    def order(result: dict) -> tuple:
        first = result['variant'].split('+')[0]
        return (
            names.index(first),
            result['variant'],
            result['fields'] or 0,
            result['cfg_options'],
            result['seed'],
        )

    groups: Dict[str, List[dict]] = {}
    for result in sorted(results, key=order):
        groups.setdefault(name_group(result), []).append(result)
    tables = [CAPTION, variant_table(groups)]
    for name, group in groups.items():
        if 'lld/attr_macro_f1' not in group[0]['scores']:
            continue
        for title, prefix, human, published in (
            ('eleven attributes', ELEVEN_PREFIX, HUMAN, PUBLISHED),
            ("LLD's six", SIX_PREFIX, HUMAN_OF_SIX, {}),
        ):
            tables.append(f'{name}, {title}:')
            tables.append(attribute_table(group, prefix, human, published))
    tables.append('Types of immature granulocytes, all seeds together:')
    tables.append(confusion_table(groups))
    return '\n\n'.join(tables) + '\n'


def main() -> None:
    """Do all runs that are missing and report on all that are there."""
    args = parse_args()
    base = Path(args.work_dir)
    if args.choose:
        base /= 'choose'
    failures: List[str] = []
    runs.share_cores(args.jobs)
    register_all_modules()
    if not args.report_only:
        try:
            jobs = [
                prepare(name, seed, args, base)
                for seed in args.seeds
                for name in args.variants
            ]
        except (FileExistsError, FileNotFoundError, ValueError) as error:
            sys.exit(str(error))
        failures = compare_configs.train_all(jobs, args.jobs, score)
    results = sparse_report.load_results(base)
    if args.record:
        try:
            results = records.update_record(Path(args.record), results)
        except ValueError as error:
            sys.exit(str(error))
    if results:
        tables = make_tables(results)
        print(tables)
        base.mkdir(parents=True, exist_ok=True)
        (base / 'table.md').write_text(tables, encoding='utf-8')
    else:
        failures.append(f'{base} holds no results')
    if failures:
        sys.exit('\n'.join(failures))


if __name__ == '__main__':
    main()
