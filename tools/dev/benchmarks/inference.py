# Copyright (c) mmleuk authors. All rights reserved.
"""Time inference with attributes against the same detector without.

Both have the same weights and find the same boxes. They alternate, image by
image, in one process, so that changes in the machine's speed cancel::

    python tools/dev/benchmarks/inference.py epoch_20.pth IMAGES \
        --num-images 25 --repetitions 5

``network`` is the model alone; ``all`` goes from the decoded image to named
records.
"""

import argparse
import copy
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import cv2
import numpy as np
import torch
from mmengine.config import ConfigDict
from runs import spread

from mmleuk import configs
from mmleuk.apis import LLDInferencer
from mmleuk.apis.image_inputs import list_images
from mmleuk.apis.safe_checkpoint import read_checkpoint

WITH, WITHOUT = 'with attributes', 'without'
PARTS = ('network', 'all')
PREFIX = 'attribute_'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('weights', help='checkpoint of a trained model')
    parser.add_argument('images', help='path of an image or a folder')
    parser.add_argument('--num-images', type=int, default=25)
    parser.add_argument('--repetitions', type=int, default=5)
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--score-thr', type=float, default=0.3)
    parser.add_argument('--device')
    return parser.parse_args()


def without_attributes(model_cfg: ConfigDict) -> ConfigDict:
    """Remove the attribute branches, but keep the neck and so its weights."""
    cfg = configs.without_attributes(model_cfg)
    cfg.backbone = copy.deepcopy(model_cfg.backbone)
    cfg.neck = copy.deepcopy(model_cfg.neck)
    return cfg


def build_pair(weights: str, device: str) -> Dict[str, LLDInferencer]:
    """Build both inferencers from one checkpoint, by name."""
    ours = LLDInferencer(weights=weights, device=device, show_progress=False)
    checkpoint = read_checkpoint(weights)
    checkpoint['state_dict'] = {
        key: value
        for key, value in checkpoint['state_dict'].items()
        if not key.startswith((PREFIX, f'roi_head.{PREFIX}'))
    }
    # A calibration names attributes that are not there.
    checkpoint['meta'] = dict(dataset_meta=checkpoint['meta']['dataset_meta'])
    cfg = copy.deepcopy(ours.cfg)
    cfg.model = without_attributes(cfg.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'without.pth'
        torch.save(checkpoint, path)
        plain = LLDInferencer(cfg, path, device, show_progress=False)
    return {WITH: ours, WITHOUT: plain}


@contextmanager
def network_timer(
    inferencer: LLDInferencer, seconds: List[float]
) -> Iterator[None]:
    """Append the seconds that the model alone takes for each batch."""
    starts: List[float] = []

    def start(*_) -> None:
        synchronize(inferencer)
        starts.append(time.perf_counter())

    def stop(*_) -> None:
        synchronize(inferencer)
        seconds.append(time.perf_counter() - starts.pop())

    hooks = [
        inferencer.model.register_forward_pre_hook(start),
        inferencer.model.register_forward_hook(stop),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def synchronize(inferencer: LLDInferencer) -> None:
    """Wait for the GPU."""
    if next(inferencer.model.parameters()).is_cuda:
        torch.cuda.synchronize()


def time_batch(
    inferencer: LLDInferencer, images: Sequence[np.ndarray], score_thr: float
) -> Dict[str, float]:
    """Time one batch of decoded images; return seconds an image, by part."""
    network: List[float] = []
    synchronize(inferencer)
    start = time.perf_counter()
    with network_timer(inferencer, network):
        inferencer(list(images), len(images), score_thr=score_thr)
    total = time.perf_counter() - start
    return dict(network=sum(network) / len(images), all=total / len(images))


def check_boxes(
    pair: Dict[str, LLDInferencer], image: np.ndarray, score_thr: float
) -> None:
    """Exit if the two find different cells in an image."""
    boxes = {
        name: [
            c.bbox
            for c in inferencer(image, score_thr=score_thr)['predictions'][
                0
            ].cells
        ]
        for name, inferencer in pair.items()
    }
    if len(boxes[WITH]) != len(boxes[WITHOUT]) or not np.allclose(
        boxes[WITH], boxes[WITHOUT], atol=0.1
    ):
        raise SystemExit(
            f'{len(boxes[WITH])} boxes with attributes and '
            f'{len(boxes[WITHOUT])} without differ, expected the same'
        )


def compare(
    pair: Dict[str, LLDInferencer],
    batches: Sequence[Sequence[np.ndarray]],
    repetitions: int,
    score_thr: float,
) -> Dict[str, Dict[str, List[List[float]]]]:
    """Alternate between both; the first one changes with every batch.

    Args:
        pair (dict[str, LLDInferencer]): From :func:`build_pair`.
        batches (Sequence[Sequence[np.ndarray]]): Decoded images.
        repetitions (int): How often all images are predicted.
        score_thr (float): Least score of a cell.

    Returns:
        dict[str, dict[str, list[list[float]]]]: Seconds an image, by part and
        name, one list a repetition, in it one a batch.
    """
    times = {
        part: {name: [[] for _ in range(repetitions)] for name in pair}
        for part in PARTS
    }
    for repetition in range(repetitions):
        for number, batch in enumerate(batches):
            names = sorted(pair, reverse=bool((repetition + number) % 2))
            for name in names:
                seconds = time_batch(pair[name], batch, score_thr)
                for part in PARTS:
                    times[part][name][repetition].append(seconds[part])
    return times


def report(times: Dict[str, Dict[str, List[List[float]]]]) -> str:
    """Tabulate images a second and the ratio of times.

    A repetition gives one ratio, the median over its batches, since single
    batches may be disturbed.
    """
    lines = [
        '| part | with attributes, images/s | without, images/s | '
        'time ratio, median | mean ± sd over repetitions |',
        '|---|---|---|---|---|',
    ]
    for part in PARTS:
        ratios, rates = [], {}
        for ours, plain in zip(times[part][WITH], times[part][WITHOUT]):
            ratios.append(
                statistics.median(a / b for a, b in zip(ours, plain))
            )
        for name in (WITH, WITHOUT):
            flat = [second for row in times[part][name] for second in row]
            rates[name] = 1 / statistics.median(flat)
        lines.append(
            f'| {part} | {rates[WITH]:.2f} | {rates[WITHOUT]:.2f} | '
            f'{statistics.median(ratios):.3f} | {spread(ratios)} |'
        )
    return '\n'.join(lines)


def main() -> None:
    """Time both and print the table."""
    args = parse_args()
    inputs, _ = list_images(args.images)
    images = [cv2.imread(item.source) for item in inputs[: args.num_images]]
    batches = [
        images[i : i + args.batch_size]
        for i in range(0, len(images), args.batch_size)
    ]
    pair = build_pair(args.weights, args.device)
    check_boxes(pair, images[0], args.score_thr)
    # Warm-up: the first passes allocate and choose algorithms.
    compare(pair, batches[:2], 1, args.score_thr)
    times = compare(pair, batches, args.repetitions, args.score_thr)
    print(report(times))
    device = next(pair[WITH].model.parameters()).device
    print(
        f'\n{len(images)} images of {args.images}, batches of '
        f'{args.batch_size}, {args.repetitions} repetitions, on {device}, '
        f'{torch.get_num_threads()} threads'
    )


if __name__ == '__main__':
    main()
