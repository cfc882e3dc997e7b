# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Sequence

import numpy as np

from ..plotting import load_pyplot
from .style import GREY, ink_on, new_figure, panel_grid, panels, styled

MISSED = 'missed'
NO_CELL = 'no such cell'


@styled
def draw_type_confusion(
    counts: np.ndarray, classes: Sequence[str], subtitle: str
) -> Any:
    """Draw the confusion of types, without those that don't occur.

    Args:
        counts (np.ndarray): From :func:`type_confusion`, shape
            (num_classes + 1, num_classes + 1).
        classes (Sequence[str]): Names of the types.
        subtitle (str): The data and the method.

    Returns:
        Figure: The figure.
    """
    used = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    used = np.union1d(used[used < len(classes)], [len(classes)]).astype(int)
    absent = [name for i, name in enumerate(classes) if i not in used]
    if absent:
        subtitle += f'\nnot drawn, for they do not occur: {", ".join(absent)}'
    side = 0.78 * len(used)
    figure, body = new_figure(
        max(side + 3.2, 7.5),
        side + 1.8,
        'Types: annotated and named',
        subtitle,
    )
    axis = body.subplots()
    _draw_table(
        axis,
        counts[np.ix_(used, used)],
        [classes[i] for i in used[:-1]],
        'type named by the model',
        'annotated type (cells)',
    )
    return figure


@styled
def draw_attribute_confusion(
    counts: Sequence[np.ndarray],
    values: Sequence[Sequence[str]],
    titles: Sequence[str],
    notes: Sequence[str],
    subtitle: str,
) -> Any:
    """Draw the confusion of values, a panel for each attribute.

    Args:
        counts (Sequence[np.ndarray]): From :func:`attribute_confusion`, one
            an attribute, shape (num_values + 1, num_values + 1).
        values (Sequence[Sequence[str]]): Names of the values of each.
        titles (Sequence[str]): Names of the attributes.
        notes (Sequence[str]): A line below each title.
        subtitle (str): The data and the method.

    Returns:
        Figure: The figure.
    """
    rows, columns = panel_grid(len(counts), 4)
    figure, body = new_figure(
        4.0 * columns, 3.9 * rows, 'Attributes: annotated and named', subtitle
    )
    axes = body.subplots(rows, columns, squeeze=False)
    parts = zip(panels(axes, len(counts)), counts, values, titles, notes)
    for index, (axis, table, names, title, note) in enumerate(parts):
        _draw_table(
            axis,
            table,
            names,
            'value named by the model',
            'annotated value (cells)' if index % columns == 0 else '',
        )
        axis.set_title(title, pad=20)
        axis.annotate(
            note,
            (0, 1),
            (0, 5),
            'axes fraction',
            'offset points',
            size=9,
            color=GREY,
        )
    return figure


def _draw_table(
    axis: Any,
    counts: np.ndarray,
    names: Sequence[str],
    x_label: str,
    y_label: str,
) -> None:
    """Draw counts, right ones blue, errors orange, dark by share of row."""
    pyplot = load_pyplot()
    size = len(names)
    totals = counts.sum(axis=1)
    image = np.ones((size + 1, size + 1, 3))
    for row in range(size + 1):
        for column in range(size + 1):
            count = counts[row, column]
            if not count:
                continue
            # Detections without a cell are no share of the cells.
            share = 0.2 if row == size else count / totals[row]
            shades = 'Blues' if row == column else 'Oranges'
            image[row, column] = pyplot.colormaps[shades](0.12 + 0.78 * share)[
                :3
            ]
            text = f'{count}'
            if row < size:
                text += f'\n{_percent(count, totals[row])}'
            axis.text(
                column,
                row,
                text,
                ha='center',
                va='center',
                size=9,
                linespacing=1.2,
                color=ink_on(image[row, column]),
            )
    axis.imshow(image, aspect='equal', interpolation='nearest')
    axis.text(size, size, '–', ha='center', va='center', color=GREY)
    for edge in np.arange(size + 2) - 0.5:
        for line in (axis.axhline, axis.axvline):
            line(edge, color='#E0E0E0', lw=0.8)
    for line in (axis.axhline, axis.axvline):
        # Missed cells and false positives are set apart.
        line(size - 0.5, color=GREY, lw=1.4)
    axis.set_xticks(range(size + 1), [*names, MISSED])
    axis.set_yticks(
        range(size + 1),
        [
            *(f'{name} ({total})' for name, total in zip(names, totals)),
            NO_CELL,
        ],
    )
    pyplot.setp(
        axis.get_xticklabels(), rotation=35, ha='right', rotation_mode='anchor'
    )
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)


def _percent(count: int, total: int) -> str:
    """Write a share; 0 % and 100 % only where exact."""
    share = 100 * count / total
    if 0 < share < 1:
        return '<1 %'
    if 99 < share < 100:
        return '>99 %'
    return f'{share:.0f} %'
