# Copyright (c) mmleuk authors. All rights reserved.
"""Curves of a training, from the log that MMEngine writes."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

from .style import BLACK, LINE_COLOURS, LINE_DASHES, new_figure, panels, styled

Curve = Tuple[List[float], List[float]]
_BOX_AP = re.compile(r'(?:.*/)?bbox_mAP(_50|_75)?$')
_ATTRIBUTE_F1 = re.compile(r'(?:.*/)?attr_(?:(.+)_)?macro_f1$')


@dataclass(frozen=True)
class TrainingLog:
    """Logged values of a training.

    Args:
        unit (str): Unit of time, 'epoch' or 'iteration'.
        train (dict[str, tuple]): Times and values of the training, by name.
        val (dict[str, tuple]): Times and values of the validation.
    """

    unit: str
    train: Dict[str, Curve]
    val: Dict[str, Curve]


def read_training_log(path: Union[str, Path]) -> TrainingLog:
    """Read ``vis_data/scalars.json`` of a training.

    Args:
        path (str | Path): The file, one JSON object a line.

    Returns:
        TrainingLog: Its finite values.

    Raises:
        ValueError: If a line is no such object, or none is of a training.
    """
    records = []
    lines = Path(path).read_text(encoding='utf-8').splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
            records[-1]['step']
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise ValueError(
                f'{path}, line {number}: {line[:80]!r}, expected a JSON '
                "object with `step`, as MMEngine writes into a run's "
                'vis_data/scalars.json'
            ) from error
    training = [record for record in records if 'lr' in record]
    validation = [record for record in records if 'lr' not in record]
    if not training:
        raise ValueError(
            f'{path} has {len(records)} lines and none with `lr`, expected '
            'the log of a training'
        )
    unit, pace = 'iteration', 1
    if all('epoch' in record for record in training):
        # Iterations of an epoch, which the log doesn't state.
        unit = 'epoch'
        pace = max(math.ceil(r['step'] / r['epoch']) for r in training)
    last_epoch = max(record.get('epoch', 0) for record in training)
    by_epoch = unit == 'epoch' and all(
        record['step'] <= last_epoch for record in validation
    )
    return TrainingLog(
        unit,
        _collect(training, pace),
        _collect(validation, 1 if by_epoch else pace),
    )


def _collect(records: List[dict], pace: int) -> Dict[str, Curve]:
    """Gather the values of each name over time."""
    curves: Dict[str, Curve] = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                times, values = curves.setdefault(name, ([], []))
                times.append(record['step'] / pace)
                values.append(value)
    return curves


@styled
def draw_training_curves(
    log: TrainingLog, titles: Dict[str, str], subtitle: str
) -> Any:
    """Draw losses, learning rate and validation scores.

    Args:
        log (TrainingLog): The logged values.
        titles (dict[str, str]): Titles of the attributes, by name.
        subtitle (str): Which training.

    Returns:
        Figure: The figure.
    """
    losses = {
        name.replace('loss_', '').replace('_', ' '): curve
        for name, curve in log.train.items()
        if name.rpartition('/')[2].startswith('loss')
    }
    total = losses.pop('loss', None)
    if total is not None:
        losses = {'sum': total, **losses}
    boxes, attributes = {}, {}
    for name, curve in log.val.items():
        if match := _BOX_AP.match(name):
            suffix = (match[1] or '').replace('_', '')
            boxes[f'AP{suffix}'] = curve
        elif match := _ATTRIBUTE_F1.match(name):
            title = titles.get(match[1], match[1]) if match[1] else 'mean'
            attributes[title] = curve
    shown = [
        ('Training losses', 'loss', losses, 'log'),
        ('Learning rate', 'learning rate', {'lr': log.train['lr']}, 'log'),
        ('Boxes, validation', 'average precision', boxes, 'linear'),
        (
            'Attributes, validation',
            'macro-F1 given a match',
            attributes,
            'linear',
        ),
    ]
    shown = [part for part in shown if part[2]]
    rows = -(-len(shown) // 2)
    figure, body = new_figure(
        12.5, 3.5 * rows, 'How the training went', subtitle
    )
    axes = body.subplots(rows, 2, squeeze=False, sharex=True)
    for axis, part in zip(panels(axes, len(shown)), shown):
        title, label, curves, scale = part
        _draw_curves(axis, curves)
        axis.set(title=title, ylabel=label, xlabel=log.unit, yscale=scale)
        axis.set_xlim(left=0)
        axis.locator_params('x', integer=True)
        axis.tick_params(labelbottom=True)
        axis.grid(True)
    return figure


def _draw_curves(axis: Any, curves: Dict[str, Curve]) -> None:
    """Draw lines with a legend beside the panel, sum and mean in black."""
    looks: List[Dict[str, Any]] = [
        dict(color=colour, ls=dash)
        for dash in LINE_DASHES
        for colour in LINE_COLOURS
        if colour != BLACK
    ]
    is_only = len(curves) == 1
    for index, (name, curve) in enumerate(curves.items()):
        look = looks[index % len(looks)]
        if name in ('sum', 'mean'):
            look = dict(color=BLACK, lw=2.4, zorder=4)
        few = len(curve[0]) < 40
        axis.plot(*curve, label=name, marker='.' if few else None, **look)
    if not is_only:
        axis.legend(loc='center left', bbox_to_anchor=(1.0, 0.5))
