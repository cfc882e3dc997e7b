# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Sequence

import numpy as np

from ..plotting import load_pyplot
from .style import GREY, ink_on, new_figure, panel_grid, panels, styled

_HEIGHT = 0.36
_HATCH = '///'
_HATCH_COLOUR = (1, 1, 1, 0.6)
# Below this share of a bar its label doesn't fit in.
_LEAST_LABELLED = 0.12


@styled
def draw_attribute_frequencies(
    annotated: Sequence[np.ndarray],
    named: Sequence[np.ndarray],
    classes: Sequence[str],
    values: Sequence[Sequence[str]],
    titles: Sequence[str],
    subtitle: str,
) -> Any:
    """Draw how often each type has each value, labelled and predicted.

    Args:
        annotated (Sequence[np.ndarray]): Counts of the labelled cells, one
            array an attribute, shape (num_classes, num_values).
        named (Sequence[np.ndarray]): Counts of the detections, by their
            predicted type, likewise.
        classes (Sequence[str]): Names of the types.
        values (Sequence[Sequence[str]]): Names of the values of each.
        titles (Sequence[str]): Names of the attributes.
        subtitle (str): The data and the method.

    Returns:
        Figure: The figure.

    Raises:
        ValueError: If there is neither a cell nor a detection.
    """
    totals = sum(part.sum(axis=1) for part in (*annotated, *named))
    used = np.flatnonzero(totals)
    if not len(used):
        raise ValueError(
            'there is neither an annotated attribute nor a detection, '
            'expected some to count'
        )
    rows, columns = panel_grid(len(titles), 4)
    pyplot = load_pyplot()
    figure, body = new_figure(
        3.6 * columns + 1.6,
        (0.52 * len(used) + 1.15) * rows + 0.2,
        'How often each type has each value',
        subtitle,
    )
    axes = body.subplots(rows, columns, squeeze=False, sharey=True)
    for index, axis in enumerate(panels(axes, len(titles))):
        # From light to dark.
        places = np.linspace(0.92, 0.12, len(values[index]))
        shades = pyplot.colormaps['cividis'](places)[:, :3]
        for place, label in enumerate(used):
            for side, counts in ((-1, annotated), (1, named)):
                _draw_bar(
                    axis,
                    counts[index][label],
                    place + side * (_HEIGHT / 2 + 0.015),
                    shades,
                    is_named=side > 0,
                )
        axis.set_title(titles[index], pad=24)
        patches = [
            pyplot.Rectangle((0, 0), 1, 1, color=shade, label=name)
            for shade, name in zip(shades, values[index])
        ]
        axis.legend(
            handles=patches,
            loc='lower left',
            bbox_to_anchor=(-0.02, 0.985),
            ncols=len(patches),
            handlelength=1,
            handleheight=1,
            columnspacing=1.2,
            borderpad=0.2,
        )
        axis.set(xlim=(0, 1), ylim=(len(used) - 0.4, -0.6))
        axis.set_yticks(range(len(used)), [classes[i] for i in used])
        axis.set_xticks(np.linspace(0, 1, 5), range(0, 101, 25))
        axis.tick_params(axis='y', length=0)
        axis.spines['left'].set_visible(False)
    body.supxlabel('share of the cells in %', size=10)
    body.legend(
        handles=[
            pyplot.Rectangle((0, 0), 1, 1, color=GREY, label='annotated'),
            pyplot.Rectangle(
                (0, 0),
                1,
                1,
                fc=GREY,
                ec=_HATCH_COLOUR,
                lw=0,
                hatch=_HATCH,
                label='named by the model',
            ),
        ],
        loc='outside upper left',
        ncols=2,
    )
    return figure


def _draw_bar(
    axis: Any, counts: np.ndarray, y: float, shades: np.ndarray, is_named: bool
) -> None:
    """Draw the shares of one type, predicted ones hatched."""
    total = counts.sum()
    if not total:
        axis.text(0.01, y, 'none', va='center', size=8, color=GREY)
        return
    left = 0.0
    for count, shade in zip(counts, shades):
        share = count / total
        axis.barh(
            y,
            share,
            _HEIGHT,
            left=left,
            color=shade,
            edgecolor=_HATCH_COLOUR,
            lw=0,
            hatch=_HATCH if is_named else None,
        )
        if share >= _LEAST_LABELLED:
            axis.text(
                left + share / 2,
                y,
                f'{count}',
                ha='center',
                va='center',
                size=8,
                color=ink_on(shade),
                bbox=dict(fc=shade, ec='none', pad=0.8) if is_named else None,
            )
        left += share
