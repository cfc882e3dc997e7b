# Copyright (c) mmleuk authors. All rights reserved.
"""Train configs under several seeds and tabulate mean and spread.

Each run is a plain ``tools/train.py``, scored on the validation data of its
config after the last epoch (no epoch is picked by its score). A run leaves one
``result.json``; runs that have one are not repeated, so that an interrupted
benchmark goes on where it stopped.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Sequence

ROOT = Path(__file__).parents[2]
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
        '--jobs', type=int, default=1, help='runs at a time, for large GPUs'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='passed to every run'
    )
    return parser.parse_args()


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
            row = json.loads(line)
            if 'lld/bbox_mAP' in row:
                return {k: v for k, v in row.items() if k.startswith('lld/')}
    raise RuntimeError(
        f'{work_dir} holds no validation scores, expected "lld/bbox_mAP" in '
        'its vis_data/scalars.json; see the log of the run'
    )


def run(
    config: str, seed: int, work_dir: Path, cfg_options: Sequence[str]
) -> dict:
    """Train one config under one seed, or fetch what that gave before.

    Args:
        config (str): Path of the config.
        seed (int): Seed of the run.
        work_dir (Path): Directory of this run.
        cfg_options (Sequence[str]): Further ``key=value`` overrides.

    Returns:
        dict: ``config``, ``seed``, ``minutes`` of training and validating and
        ``scores``.
    """
    result_file = work_dir / 'result.json'
    if result_file.exists():
        return json.loads(result_file.read_text())
    work_dir.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        str(ROOT / 'tools' / 'train.py'),
        config,
        '--work-dir',
        str(work_dir),
        '--cfg-options',
        f'randomness.seed={seed}',
        *cfg_options,
    ]
    start = time.time()
    with open(work_dir / 'stdout.log', 'w') as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(
            f'{" ".join(command)} ended with code {done.returncode}; its '
            f'output is in {work_dir / "stdout.log"}'
        )
    result = dict(
        config=config,
        seed=seed,
        minutes=(time.time() - start) / 60,
        scores=read_scores(work_dir),
    )
    result_file.write_text(json.dumps(result, indent=1))
    return result


def make_table(results: Sequence[dict]) -> str:
    """Tabulate mean and standard deviation over seeds, one column a config.

    Args:
        results (Sequence[dict]): What :func:`run` returned.

    Returns:
        str: A Markdown table.
    """
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
    rows: List[List[str]] = [header, ['---'] * len(header)]
    for key in keys:
        row = [f'`{key}`']
        for config in configs:
            row.append(
                spread(
                    [
                        result['scores'].get(key)
                        for result in results
                        if result['config'] == config
                    ]
                )
            )
        rows.append(row)
    minutes = [
        spread([r['minutes'] for r in results if r['config'] == c], '.1f')
        for c in configs
    ]
    rows.append(['minutes'] + minutes)
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows)


def spread(values: Sequence, digits: str = '.3f') -> str:
    """Write values as ``mean ± standard deviation``, or a dash for none."""
    values = [value for value in values if value is not None and value >= 0]
    if not values:
        return '–'
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{statistics.mean(values):{digits}} ± {deviation:{digits}}'


def main() -> None:
    """Run all that is missing and print the table."""
    args = parse_args()
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
