# Copyright (c) mmleuk authors. All rights reserved.
"""Train configs under several seeds and tabulate mean and spread.

Each run is a plain ``tools/train.py``, scored on the validation data of its
config after the last epoch (no epoch is picked by its score). A run leaves one
``result.json``; runs that have one are not repeated, so that an interrupted
benchmark resumes where it stopped.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Sequence

import runs

CONFIGS = (
    'configs/attribute_rcnn/attr-faster-rcnn_lite0_fpn_pbc-fields.py',
    'configs/attribute_rcnn/attridet-faster-rcnn_lite0_fpn_pbc-fields.py',
    'configs/baselines/faster-rcnn_lite0_fpn_pbc-fields.py',
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'configs',
        nargs='*',
        default=list(CONFIGS),
        help='configs to compare (default: ours, AttriDet, plain mmdet)',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--work-dir', default='work_dirs/benchmark_pbc_fields')
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        help='runs at a time, for large GPUs or CPUs; each has its share of '
        'the cores, unless OMP_NUM_THREADS says else',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='passed to every run'
    )
    return parser.parse_args()


def run(
    config: str, seed: int, work_dir: Path, cfg_options: Sequence[str]
) -> dict:
    """Train one config with one seed, or read its earlier result."""
    command = [
        sys.executable,
        str(runs.ROOT / 'tools' / 'train.py'),
        config,
        '--work-dir',
        str(work_dir),
        '--cfg-options',
        f'randomness.seed={seed}',
        *cfg_options,
    ]
    return runs.run(command, work_dir, dict(config=config, seed=seed))


def make_table(results: Sequence[dict]) -> str:
    """Tabulate mean and standard deviation over seeds, one column a config."""
    configs = list(dict.fromkeys(result['config'] for result in results))
    keys = ['lld/bbox_mAP_50', 'lld/bbox_mAP', 'lld/attr_macro_f1']
    keys += ['lld/attr_macro_f1_e2e']
    names = {key for result in results for key in result['scores']}
    keys += sorted(
        key
        for key in names
        if key.startswith('lld/attr_')
        and key.endswith('_macro_f1')
        and key not in keys
    )
    header = [''] + [Path(config).stem for config in configs]
    rows: List[List[str]] = [header]
    for key in keys:
        row = [f'`{key}`']
        for config in configs:
            row.append(
                runs.spread(
                    [
                        result['scores'].get(key)
                        for result in results
                        if result['config'] == config
                    ]
                )
            )
        rows.append(row)
    minutes = [
        runs.spread([r['minutes'] for r in results if r['config'] == c], '.1f')
        for c in configs
    ]
    rows.append(['minutes'] + minutes)
    return runs.markdown_table(rows)


def main() -> None:
    """Run all that is missing and print the table."""
    args = parse_args()
    runs.share_cores(args.jobs)
    jobs = [
        (
            config,
            seed,
            Path(args.work_dir) / Path(config).stem / f'seed_{seed}',
        )
        for seed in args.seeds
        for config in args.configs
    ]
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda j: run(*j, args.cfg_options), jobs))
    print(make_table(results))


if __name__ == '__main__':
    main()
