# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Sequence

import numpy as np

from mmleuk.evaluation.functional import PrecisionRecallCurve

from .style import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    new_figure,
    panel_grid,
    panels,
    styled,
)


@styled
def draw_precision_recall(
    curves: Sequence[PrecisionRecallCurve],
    class_ap: Sequence[float],
    classes: Sequence[str],
    score_thr: float,
    subtitle: str,
) -> Any:
    """Draw precision over recall, a panel for each type that has cells.

    The curves of the other types are in pale grey behind each.

    Args:
        curves (Sequence[PrecisionRecallCurve]): One a type.
        class_ap (Sequence[float]): COCO's AP of each type at the IoU of the
            curves.
        classes (Sequence[str]): Names of the types.
        score_thr (float): Score of the working point, marked by a dot.
        subtitle (str): The data and the method.

    Returns:
        Figure: The figure.

    Raises:
        ValueError: If no type has cells.
    """
    used = [i for i, curve in enumerate(curves) if curve.num_cells]
    if not used:
        raise ValueError(
            'no type has an annotated cell, expected at least one to draw '
            'precision over recall'
        )
    rows, columns = panel_grid(len(used), 5)
    figure, body = new_figure(
        max(2.7 * columns + 0.4, 7.5),
        2.75 * rows + 0.3,
        'Precision and recall of each type',
        subtitle,
    )
    axes = body.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True
    )
    for place, axis in enumerate(panels(axes, len(used))):
        index = used[place]
        for other in used:
            _draw_curve(axis, curves[other], PALE, 1)
        curve = curves[index]
        _draw_curve(axis, curve, BLUE, 2)
        point = np.searchsorted(-curve.thresholds, -score_thr, 'right') - 1
        if point > 0:
            axis.plot(
                curve.recall[point],
                curve.precision[point],
                'o',
                color=ORANGE,
                ms=7,
                mec='white',
                clip_on=False,
                zorder=5,
            )
        axis.set_title(classes[index])
        axis.text(
            0.05,
            0.06,
            f'AP50 {class_ap[index]:.3f}\n{curve.num_cells} cells',
            transform=axis.transAxes,
            color=GREY,
            linespacing=1.35,
            bbox=dict(fc='white', ec='none', alpha=0.8, pad=1),
        )
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02))
        axis.set_aspect('equal')
        axis.grid(True)
        # Also where the panel below is left out.
        axis.tick_params(labelbottom=place + columns >= len(used))
    body.supxlabel('recall: share of the cells that are found', size=10)
    body.supylabel('precision: share that is right', size=10)
    return figure


def _draw_curve(
    axis: Any, curve: PrecisionRecallCurve, colour: str, width: float
) -> None:
    """Draw a curve as steps: between two thresholds nothing changes."""
    if len(curve.recall) < 2:
        return
    # Precision without any detection is a mere convention.
    precision = np.concatenate([curve.precision[1:2], curve.precision[1:]])
    axis.plot(
        curve.recall,
        precision,
        color=colour,
        lw=width,
        drawstyle='steps-pre',
        # 14 types would fill an SVG with 196 curves.
        rasterized=colour == PALE,
        clip_on=False,
    )
