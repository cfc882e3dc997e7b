# Copyright (c) mmleuk authors. All rights reserved.
"""Measure how long labels take to load, beside MMDetection's CocoDataset.

Writes labels of invented cells in LLD's layout, five an image, and loads them
with either class, each in a process of its own. LLDDataset reads the header
and the end of every image file meanwhile, CocoDataset none::

    python tools/dev/benchmarks/label_loading.py --images 3000 30000
"""

import argparse
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Callable, Tuple

import numpy as np
from mmdet.datasets import CocoDataset
from PIL import Image
from terminaltables import AsciiTable

from mmleuk.datasets import LLD_CLASSES, LLDDataset
from mmleuk.datasets.checks import quiet_log
from mmleuk.io.writers.json_writers import write_lld_json
from mmleuk.structures import LLD_SCHEMA
from mmleuk.structures.record import CellRecord, FieldRecord

SIDE = 640
CELLS_PER_IMAGE = 5

# File systems allow so many names of one file.
MAX_LINKS = 50_000

DATASETS = dict(CocoDataset=CocoDataset, LLDDataset=LLDDataset)


def write_labels(folder: Path, num_images: int) -> None:
    """Write labels, and links to one blank image."""
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    fields = []
    for number in range(num_images):
        blank = folder / f'blank_{number // MAX_LINKS}.png'
        if not blank.exists():
            Image.new('RGB', (SIDE, SIDE)).save(blank)
        name = f'{number % 48}_{number}_1000_ALL.png'
        os.link(blank, folder / 'images' / name)
        corners = rng.uniform(0, 540, (CELLS_PER_IMAGE, 2)).round(2)
        sides = rng.uniform(40, 90, (CELLS_PER_IMAGE, 2)).round(2)
        bboxes = np.hstack([corners, corners + sides]).tolist()
        labels = rng.integers(0, len(LLD_CLASSES), CELLS_PER_IMAGE)
        codes = rng.integers(0, 2, (CELLS_PER_IMAGE, len(LLD_SCHEMA)))
        cells = tuple(
            CellRecord(tuple(bbox), LLD_CLASSES[label], tuple(row))
            for bbox, label, row in zip(bboxes, labels, codes.tolist())
        )
        fields.append(FieldRecord(name, SIDE, SIDE, cells, image_id=number))
    write_lld_json(
        fields,
        folder / 'labels.json',
        LLD_SCHEMA,
        LLD_CLASSES,
    )


def load(name: str, folder: str) -> Tuple[float, float, float]:
    """Load labels; return seconds of wall time, of CPU time, and peak MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    with quiet_log():
        DATASETS[name](
            ann_file='labels.json',
            data_root=folder,
            data_prefix=dict(img='images/'),
            metainfo=dict(classes=LLD_CLASSES),
        )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return wall, cpu, (after - before) / 1024


def run_alone(function: Callable, *args: Any) -> Any:
    """Run a function in a new process, whose peak of memory starts low.

    Linux passes the peak of a process on to its children, so this process
    must stay small as well.
    """
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        return pool.submit(function, *args).result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, nargs='+', default=[3000, 30000])
    args = parser.parse_args()
    rows = [['images', 'class', 'wall s', 'CPU s', 'peak MB']]
    for num_images in args.images:
        with tempfile.TemporaryDirectory() as folder:
            run_alone(write_labels, Path(folder), num_images)
            for name in DATASETS:
                wall, cpu, peak = run_alone(load, name, folder)
                numbers = f'{wall:.2f}', f'{cpu:.2f}', f'{peak:.0f}'
                rows.append([num_images, name, *numbers])
    table = AsciiTable(rows)
    table.justify_columns.update(dict.fromkeys((0, 2, 3, 4), 'right'))
    print(table.table)


if __name__ == '__main__':
    main()
