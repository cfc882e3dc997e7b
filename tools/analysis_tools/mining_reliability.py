# Copyright (c) mmleuk authors. All rights reserved.
"""Compare what a teacher mined with the labels that it did not see.

Reads the bank of detections out of a checkpoint of a RegionMiningDetector and
the full labels of the same fields. It prints how right the mined cells and
attributes are and how many cells they miss, and draws, for the detections on
un-annotated area, calibrated confidence against the share that is right::

    python tools/analysis_tools/mining_reliability.py CONFIG CHECKPOINT \
        data/pbc_fields/json_labels/train.json --out work_dirs/reliability
"""

import argparse
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.runner.checkpoint import load_checkpoint

from mmleuk.config_files import config_path
from mmleuk.engine import load_checkpoints_safely
from mmleuk.evaluation.functional import wilson_interval
from mmleuk.models.mining import RegionMiner
from mmleuk.structures import (
    MISSING,
    in_unknown_area,
    match_detections,
    split_cells,
)
from mmleuk.visualization import load_pyplot

NUM_BINS = 8


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'config', type=config_path, help='config of the training'
    )
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('labels', help='full labels of the training fields')
    parser.add_argument(
        '--out',
        default='work_dirs/mining_reliability',
        help='folder for reliability.png, .svg and .json',
    )
    return parser.parse_args()


def load_miner(cfg: Config, checkpoint: str) -> RegionMiner:
    """Load the miner of a checkpoint, with its bank.

    Args:
        cfg (Config): Config of the training.
        checkpoint (str): Path of the checkpoint.

    Returns:
        RegionMiner: The miner.

    Raises:
        SystemExit: If nothing is banked in the checkpoint.
    """
    if 'miner' not in cfg.model:
        raise SystemExit(
            f'model.type is {cfg.model.type!r}, expected a detector with a '
            '`miner`, such as mmleuk.RegionMiningDetector'
        )
    model = torch.nn.Module()
    model.miner = MODELS.build(cfg.model.miner)
    load_checkpoint(model, checkpoint, 'cpu', logger='silent')
    if len(model.miner.bank) == 0:
        raise SystemExit(
            f'{checkpoint} holds no mined detections, expected a checkpoint '
            'after the first pass of the teacher'
        )
    return model.miner


def load_truth(dataset_cfg: ConfigDict, labels: str) -> Dict[str, list]:
    """Load the full labels of the fields.

    Args:
        dataset_cfg (ConfigDict): The training dataset.
        labels (str): Path of the annotation file with all labels.

    Returns:
        dict[str, list[dict]]: Instances by path of the image.
    """
    cfg = dict(
        dataset_cfg,
        ann_file=str(Path(labels).resolve()),
        pipeline=[],
        filter_cfg=None,
    )
    dataset = DATASETS.build(cfg)
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return {info['img_path']: info['instances'] for info in infos}


def match_bank(
    miner: RegionMiner, truth: Dict[str, list]
) -> Dict[str, np.ndarray]:
    """Match the detections on un-annotated area to the full labels.

    Detections in ignored cells are left out.

    Args:
        miner (RegionMiner): The miner, with its bank.
        truth (dict[str, list[dict]]): All labels, by path.

    Returns:
        dict[str, np.ndarray]: ``scores``, ``confidences``, ``right_by_score``
        (the class of that score) and ``right`` (the most probable class),
        shape (n, ); ``is_cell``, whatever its class; ``is_mined``; ``ious``
        of the mined cells and ``attribute_right`` of their attributes;
        ``num_cells``, how many cells there are.
    """
    rows: Dict[str, List[np.ndarray]] = {
        key: []
        for key in (
            'scores',
            'confidences',
            'right',
            'right_by_score',
            'is_cell',
            'is_mined',
            'ious',
            'attribute_right',
        )
    }
    num_cells = 0
    for path, found in miner.bank.items():
        if path not in truth:
            raise SystemExit(
                f'the bank has {path}, which has no labels in the file given: '
                'expected the full labels of the same fields'
            )
        cells, ignored = split_cells(truth[path], miner.schema)
        boxes = found.bboxes.numpy()
        match = match_detections(
            boxes, found.scores.numpy(), cells['gt_bboxes']
        )
        kept = found.is_outside.numpy() & ~in_unknown_area(boxes, ignored)
        known = found.true_labels.numpy() >= 0
        num_cells += len(cells['gt_labels']) - len(
            set(match[known & (match >= 0)])
        )
        # No type is that of a detection without a cell.
        labels = np.append(cells['gt_labels'], -1)[match]
        mined = kept & miner.is_mined(found).numpy()
        for key, values in dict(
            scores=found.scores.numpy(),
            confidences=found.confidences.numpy(),
            is_cell=match >= 0,
            right=labels == found.types.numpy(),
            right_by_score=labels == found.labels.numpy(),
            is_mined=mined,
        ).items():
            rows[key].append(values[kept])
        pairs = np.flatnonzero(mined & (match >= 0))
        codes = found.attributes.numpy()[pairs]
        true = cells['gt_attributes'][match[pairs]]
        stated = (codes != MISSING) & (true != MISSING)
        rows['attribute_right'].append((codes == true)[stated])
        rows['ious'].append(
            bbox_overlaps(
                found.bboxes[pairs],
                torch.from_numpy(cells['gt_bboxes'][match[pairs]]).float(),
                is_aligned=True,
            ).numpy()
        )
    matched = {
        key: np.concatenate(parts) if parts else np.zeros(0)
        for key, parts in rows.items()
    }
    matched['num_cells'] = np.array(num_cells)
    return matched


def mean(values: np.ndarray) -> Optional[float]:
    """Mean of some values, None if there are none."""
    return float(values.mean()) if len(values) else None


def summarise(
    matched: Dict[str, np.ndarray], target: float
) -> Dict[str, Optional[float]]:
    """Sum up how right the mined labels are.

    Args:
        matched (dict[str, np.ndarray]): From :func:`match_bank`.
        target (float): The target precision.

    Returns:
        dict[str, float | None]: Numbers by name.
    """
    mined = matched['is_mined']
    right = matched['right'][mined]
    confidences = matched['confidences']
    return dict(
        unlabelled_cells=int(matched['num_cells']),
        mined=int(mined.sum()),
        target_precision=target,
        estimated_precision=mean(confidences[mined]),
        precision=mean(right),
        precision_of_place=mean(matched['is_cell'][mined]),
        recall=float(right.sum() / max(1, matched['num_cells'])),
        mean_iou=mean(matched['ious']),
        mined_attributes=len(matched['attribute_right']),
        attribute_precision=mean(matched['attribute_right']),
        brier_score_of_scores=float(
            np.mean((matched['scores'] - matched['right_by_score']) ** 2)
        ),
        brier_score_of_confidences=float(
            np.mean((confidences - matched['right']) ** 2)
        ),
    )


def draw(matched: Dict[str, np.ndarray], files: Sequence[Path]) -> None:
    """Draw the share of right detections over score and confidence.

    Args:
        matched (dict[str, np.ndarray]): From :func:`match_bank`.
        files (Sequence[Path]): Pictures to write.
    """
    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(
        2,
        2,
        figsize=(9, 5.5),
        sharex='col',
        height_ratios=(3, 1),
        layout='constrained',
    )
    titles = dict(
        scores='score of the teacher',
        confidences='calibrated confidence (lower bound)',
    )
    for (top, bottom), (key, title) in zip(axes.T, titles.items()):
        values = matched[key]
        right = matched['right' if key == 'confidences' else 'right_by_score']
        # Bins of equal numbers: most detections score very low or very high.
        edges = np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)))
        bins = np.clip(np.digitize(values, edges) - 1, 0, len(edges) - 2)
        for index in range(len(edges) - 1):
            inside = bins == index
            if not inside.any():
                continue
            count, share = inside.sum(), right[inside].mean()
            low, high = wilson_interval(right[inside].sum(), count)
            mean = values[inside].mean()
            top.plot([mean, mean], [low, high], color='#0072B2', lw=1)
            top.plot(mean, share, 'o', color='#0072B2')
        top.plot([0, 1], [0, 1], color='#888888', lw=1, ls='--')
        top.set_ylim(-0.03, 1.03)
        top.set_xlim(-0.03, 1.03)
        top.grid(alpha=0.3)
        counts = [values[right == flag] for flag in (True, False)]
        bottom.hist(
            counts,
            bins=np.linspace(0, 1, 21),
            stacked=True,
            color=['#009E73', '#D55E00'],
            label=['right', 'wrong'],
        )
        bottom.set_xlabel(title)
        bottom.set_yscale('symlog')
        if key == 'confidences' and matched['is_mined'].any():
            # The lowest of all types.
            least = values[matched['is_mined']].min()
            for axis in (top, bottom):
                axis.axvline(least, color='#000000', lw=1, ls=':')
            top.annotate(
                'mined', (least, 0.02), ha='right', rotation=90, fontsize=8
            )
    axes[0, 0].set_ylabel('share with the true place and type')
    axes[1, 0].set_ylabel('detections')
    axes[1, 0].legend(fontsize=8)
    figure.suptitle(
        'Detections on un-annotated area against the hidden labels '
        f'(bars: 95 % intervals, {len(matched["right"])} detections)',
        fontsize=11,
    )
    for file in files:
        figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Match, print and draw."""
    args = parse_args()
    register_all_modules()
    load_checkpoints_safely()
    cfg = Config.fromfile(args.config)
    miner = load_miner(cfg, args.checkpoint)
    truth = load_truth(cfg.train_dataloader.dataset, args.labels)
    matched = match_bank(miner, truth)
    summary = summarise(matched, miner.target_precision)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / 'reliability.json').write_text(json.dumps(summary, indent=1))
    for name, value in summary.items():
        print(f'{name:24s} {value}')
    draw(matched, [out / 'reliability.png', out / 'reliability.svg'])
    print(f'Drawn: {out / "reliability.png"}')


if __name__ == '__main__':
    main()
