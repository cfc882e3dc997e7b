# Copyright (c) mmleuk authors. All rights reserved.
"""Hold what a teacher mined against the labels that were hidden from it.

Reads the bank of detections out of a checkpoint of a RegionMiningDetector and
the full labels of the same fields. It prints how right the mined cells and
attributes are and how many cells they miss, and draws, for what lies on
un-annotated area, the calibrated chances beside the share that is right::

    python tools/analysis_tools/mining_reliability.py CONFIG CHECKPOINT \
        data/pbc_fields/json_labels/train.json --out work_dirs/reliability
"""

import argparse
import json
from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.runner.checkpoint import load_checkpoint

from mmleuk.engine import load_checkpoints_safely
from mmleuk.evaluation.functional import wilson_interval
from mmleuk.models.mining import RegionMiner
from mmleuk.structures import MISSING, match_detections
from mmleuk.visualization import load_pyplot

NUM_BINS = 8


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config of the training')
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


def judge_by_truth(
    miner: RegionMiner, truth: Dict[str, list]
) -> Dict[str, np.ndarray]:
    """Judge all detections on un-annotated area.

    Detections on ignored cells are left out.

    Args:
        miner (RegionMiner): The miner, with its bank.
        truth (dict[str, list[dict]]): All labels.

    Returns:
        dict[str, np.ndarray]: ``scores``, ``chances``, ``right_by_score`` (the
        type of that score) and ``right`` (the likeliest type), shape (n, );
        ``is_cell``, whatever its type; ``is_mined``; ``attribute_scores`` and
        ``attribute_right`` of the mined attributes; ``num_cells``, how many
        cells there are.
    """
    rows: Dict[str, List[np.ndarray]] = {
        key: []
        for key in (
            'scores',
            'chances',
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
        cells = [c for c in truth[path] if not c['ignore_flag']]
        ignored = [c['bbox'] for c in truth[path] if c['ignore_flag']]
        boxes = found.bboxes.numpy()
        cell_boxes = np.array([c['bbox'] for c in cells]).reshape(-1, 4)
        match = match_detections(boxes, found.scores.numpy(), cell_boxes)
        # As the miner tells it where it knows of them.
        ignored_boxes = torch.tensor(ignored).reshape(-1, 4).float()
        overlaps = bbox_overlaps(found.bboxes, ignored_boxes, mode='iof')
        on_ignored = (overlaps > 0.5).any(dim=1).numpy()
        kept = found.is_outside.numpy() & ~on_ignored
        known = found.true_labels.numpy() >= 0
        num_cells += len(cells) - len(set(match[known & (match >= 0)]))
        is_cell = match >= 0
        labels = np.array([c['bbox_label'] for c in cells] + [-1])
        right = labels[match] == found.types.numpy()
        right_by_score = labels[match] == found.labels.numpy()
        rows['scores'].append(found.scores.numpy()[kept])
        rows['chances'].append(found.chances.numpy()[kept])
        rows['is_cell'].append(is_cell[kept])
        rows['right'].append((right & is_cell)[kept])
        rows['right_by_score'].append((right_by_score & is_cell)[kept])
        mined = kept & miner.is_certain(found).numpy()
        rows['is_mined'].append(mined[kept])
        for index in np.flatnonzero(mined & is_cell):
            codes = found.attributes[index].numpy()
            true = np.array(cells[match[index]]['attributes'])
            told = (codes != MISSING) & (true != MISSING)
            rows['attribute_right'].append(codes[told] == true[told])
            iou = bbox_overlaps(
                found.bboxes[index : index + 1],
                torch.from_numpy(cell_boxes[match[index], None]).float(),
            )
            rows['ious'].append([float(iou)])
    judged = {
        key: np.concatenate(parts) if parts else np.zeros(0)
        for key, parts in rows.items()
    }
    judged['num_cells'] = np.array(num_cells)
    return judged


def summarise(
    judged: Dict[str, np.ndarray], target: float
) -> Dict[str, float]:
    """Sum up how right the mined labels are.

    Args:
        judged (dict[str, np.ndarray]): From :func:`judge_by_truth`.
        target (float): The precision that was asked for.

    Returns:
        dict[str, float]: Numbers by name.
    """
    mined = judged['is_mined']
    right = judged['right'][mined]
    chances = judged['chances']
    return dict(
        unlabelled_cells=int(judged['num_cells']),
        mined=int(mined.sum()),
        target_precision=target,
        estimated_precision=float(np.mean(chances[mined]))
        if mined.any()
        else None,
        precision=float(right.mean()) if mined.any() else None,
        precision_of_place=float(judged['is_cell'][mined].mean())
        if mined.any()
        else None,
        recall=float(right.sum() / max(1, judged['num_cells'])),
        mean_iou=float(judged['ious'].mean()) if len(judged['ious']) else None,
        mined_attributes=len(judged['attribute_right']),
        attribute_precision=float(judged['attribute_right'].mean())
        if len(judged['attribute_right'])
        else None,
        brier_score_of_scores=float(
            np.mean((judged['scores'] - judged['right_by_score']) ** 2)
        ),
        brier_score_of_chances=float(
            np.mean((chances - judged['right']) ** 2)
        ),
    )


def draw(judged: Dict[str, np.ndarray], files: Sequence[Path]) -> None:
    """Draw the share of right detections over score and over chance.

    Args:
        judged (dict[str, np.ndarray]): From :func:`judge_by_truth`.
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
        chances='calibrated chance (lower bound)',
    )
    for (top, bottom), (key, title) in zip(axes.T, titles.items()):
        values = judged[key]
        right = judged['right' if key == 'chances' else 'right_by_score']
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
        if key == 'chances' and judged['is_mined'].any():
            # The lowest of all types.
            least = values[judged['is_mined']].min()
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
        f'(bars: 95 % intervals, {len(judged["right"])} detections)',
        fontsize=11,
    )
    for file in files:
        figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Judge, print and draw."""
    args = parse_args()
    register_all_modules()
    load_checkpoints_safely()
    cfg = Config.fromfile(args.config)
    miner = load_miner(cfg, args.checkpoint)
    truth = load_truth(cfg.train_dataloader.dataset, args.labels)
    judged = judge_by_truth(miner, truth)
    summary = summarise(judged, miner.target_precision)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / 'reliability.json').write_text(json.dumps(summary, indent=1))
    for name, value in summary.items():
        print(f'{name:24s} {value}')
    draw(judged, [out / 'reliability.png', out / 'reliability.svg'])
    print(f'Drawn: {out / "reliability.png"}')


if __name__ == '__main__':
    main()
