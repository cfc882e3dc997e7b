# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Mapping, Optional, Sequence

import numpy as np

from mmleuk.evaluation.functional import ReliabilityCurve

from ..plotting import load_pyplot
from .style import BLUE, GREY, ORANGE, new_figure, panel_grid, panels, styled

_LOOKS = dict(
    before=dict(colour=ORANGE, marker='o', fill='white', shift=-0.25),
    after=dict(colour=BLUE, marker='s', fill=BLUE, shift=0.25),
)


@styled
def draw_reliability(
    titles: Sequence[str],
    before: Sequence[ReliabilityCurve],
    after: Optional[Sequence[Optional[ReliabilityCurve]]],
    subtitle: str,
    after_label: str = 'calibrated',
) -> Any:
    """Draw accuracy over confidence.

    Points below the diagonal: the model is overconfident. Bars are 95 %
    intervals (Wilson); below are the numbers of predictions.

    Args:
        titles (Sequence[str]): Names of the scores.
        before (Sequence[ReliabilityCurve]): Scores of the model.
        after (Sequence[ReliabilityCurve | None], optional): Calibrated
            scores, None for one that is not calibrated. None if none is.
        subtitle (str): The data and the method.
        after_label (str): Name of the calibrated scores in the legend.

    Returns:
        Figure: The figure.
    """
    rows, columns = panel_grid(len(titles), 4)
    pyplot = load_pyplot()
    figure, body = new_figure(
        max(3.2 * columns + 0.4, 7.5),
        4.1 * rows + 0.5,
        'Reliability: how sure the model is and how often it is right',
        subtitle,
    )
    axes = body.subplots(
        2 * rows,
        columns,
        squeeze=False,
        sharex=True,
        height_ratios=(3.4, 1) * rows,
    )
    tops, bottoms = (panels(axes[start::2], len(titles)) for start in (0, 1))
    # Both to the end, or the panels that are left over would show.
    pairs = zip(list(tops), list(bottoms))
    for index, (top, bottom) in enumerate(pairs):
        curves = {'before': before[index]}
        if after is not None and after[index] is not None:
            curves['after'] = after[index]
        _draw_panel(top, bottom, curves)
        top.set_title(titles[index])
        if index % columns == 0:
            top.set_ylabel('share that is right')
            bottom.set_ylabel('answers')
    labels = dict(before='as the model gives it', after=after_label)
    if after is None:
        del labels['after']
    handles = [
        pyplot.Line2D(
            [],
            [],
            ls='none',
            marker=_LOOKS[kind]['marker'],
            mfc=_LOOKS[kind]['fill'],
            mec=_LOOKS[kind]['colour'],
            label=label,
        )
        for kind, label in labels.items()
    ]
    handles.append(pyplot.Line2D([], [], color=GREY, ls='--', label='perfect'))
    body.supxlabel('confidence', size=10)
    body.legend(handles=handles, loc='outside upper left', ncols=len(handles))
    return figure


def _draw_panel(
    top: Any, bottom: Any, curves: Mapping[str, ReliabilityCurve]
) -> None:
    """Draw one score: points above, numbers of predictions below."""
    top.plot([0, 1], [0, 1], color=GREY, lw=1, ls='--', zorder=1)
    lines = []
    for kind, curve in curves.items():
        look = _LOOKS[kind]
        filled = curve.counts > 0
        mean, share = curve.confidence[filled], curve.accuracy[filled]
        reach = np.maximum(
            [share - curve.low[filled], curve.high[filled] - share], 0
        )
        top.errorbar(
            mean,
            share,
            reach,
            color=look['colour'],
            ls='none',
            elinewidth=1.2,
            alpha=0.75,
            clip_on=False,
        )
        # The area of a point grows with the number of predictions.
        top.scatter(
            mean,
            share,
            25 + 90 * curve.counts[filled] / curve.counts.sum(),
            marker=look['marker'],
            facecolor=look['fill'],
            edgecolor=look['colour'],
            linewidth=1.4,
            clip_on=False,
            zorder=3,
        )
        width = np.diff(curve.edges)
        middle = curve.edges[:-1] + width / 2
        both = len(curves) > 1
        bottom.bar(
            middle + (look['shift'] * width * 0.84 if both else 0),
            curve.counts,
            width * (0.42 if both else 0.84),
            color=look['colour'],
        )
        lines.append(f'{curve.ece:.3f}')
    count = int(curves['before'].counts.sum())
    top.text(
        0.04,
        0.97,
        f'ECE {" → ".join(lines)}\n{count} answers',
        transform=top.transAxes,
        va='top',
        size=9,
        color=GREY,
        linespacing=1.35,
    )
    top.set(xlim=(0, 1), ylim=(0, 1.02))
    top.grid(True)
    top.set_xticks(np.linspace(0, 1, 6))
    # Bins of a few and of hundreds are both visible.
    bottom.set_yscale('symlog', linthresh=1)
    bottom.set_ylim(0, max(10, 2 * count))
    ticks = [0] + [10**k for k in range(1, 7) if 10**k <= 2 * count]
    bottom.set_yticks(ticks, [f'{tick:,}' for tick in ticks])
    bottom.minorticks_off()
    bottom.grid(True, axis='y')
    # Also where the panel below is left out.
    bottom.tick_params(labelbottom=True)
