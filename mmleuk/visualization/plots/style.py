# Copyright (c) mmleuk authors. All rights reserved.
"""How all plots look, so that they read as one set."""

import functools
import textwrap
from pathlib import Path
from typing import Any, Callable, Iterator, List, Sequence, Tuple, Union

import numpy as np

from ..plotting import load_pyplot

# Okabe and Ito's colours, told apart by every kind of colour vision.
BLUE = '#0072B2'
ORANGE = '#D55E00'
GREEN = '#009E73'
PURPLE = '#CC79A7'
SKY = '#56B4E9'
AMBER = '#E69F00'
BLACK = '#000000'
LINE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK)
# Dashes distinguish lines where there are more of them than colours.
LINE_DASHES = ('-', '--', ':')
GREY = '#6B6B6B'
PALE = '#D9D9D9'

STYLE = {
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans', 'Arial', 'Helvetica'],
    'font.size': 10,
    'axes.titlesize': 11,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.labelsize': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': GREY,
    'axes.linewidth': 0.8,
    'axes.axisbelow': True,
    'grid.color': '#E6E6E6',
    'grid.linewidth': 0.8,
    'xtick.labelsize': 9,
    'ytick.labelsize': 9,
    'xtick.color': '#333333',
    'ytick.color': '#333333',
    'legend.fontsize': 9,
    'legend.frameon': False,
    'lines.linewidth': 1.6,
    'figure.constrained_layout.h_pad': 0.08,
    'figure.constrained_layout.w_pad': 0.08,
    'hatch.linewidth': 0.6,
    # The same picture is the same file.
    'svg.hashsalt': 'mmleuk',
}


def styled(draw: Callable) -> Callable:
    """Make a function draw in the style of all plots."""

    @functools.wraps(draw)
    def draw_styled(*args: Any, **kwargs: Any) -> Any:
        with load_pyplot().rc_context(STYLE):
            return draw(*args, **kwargs)

    return draw_styled


def new_figure(
    width: float, height: float, title: str, subtitle: str
) -> Tuple[Any, Any]:
    """Make an empty figure with a heading, in a function that is styled.

    Args:
        width (float): Width of the drawing in inches.
        height (float): Its height in inches, without the heading.
        title (str): What is shown.
        subtitle (str): The data and the method, one or several lines, which
            are wrapped to the width.

    Returns:
        tuple: The figure and the subfigure to draw into.
    """
    pyplot = load_pyplot()
    # Characters of this size are 0.075 inches wide on average.
    lines = [
        part
        for line in subtitle.splitlines()
        for part in textwrap.wrap(line, int(width / 0.078))
    ]
    heading = 0.5 + 0.19 * len(lines)
    figure = pyplot.figure(
        figsize=(width, height + heading), layout='constrained'
    )
    top, body = figure.subfigures(2, 1, height_ratios=(heading, height))
    top.text(
        0.12 / width, 0.92, title, size=14, weight='bold', va='top', ha='left'
    )
    top.text(
        0.12 / width,
        0.92 - 0.32 / heading,
        '\n'.join(lines),
        size=9.5,
        color=GREY,
        va='top',
        ha='left',
        linespacing=1.35,
    )
    return figure, body


def panel_grid(count: int, most_columns: int) -> Tuple[int, int]:
    """Number of rows and columns for panels, in rows of similar length."""
    rows = -(-count // most_columns)
    return rows, -(-count // rows)


def panels(axes: np.ndarray, count: int) -> Iterator:
    """Yield the first ``count`` axes of an array and hide the others."""
    for index, axis in enumerate(axes.flat):
        if index < count:
            yield axis
        else:
            axis.set_visible(False)


def ink_on(colour: Sequence[float]) -> str:
    """Colour of text on a background of (r, g, b) in [0, 1]."""
    red, green, blue = colour[:3]
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return '#FFFFFF' if luminance < 0.5 else '#1A1A1A'


def save_figure(
    figure: Any, folder: Union[str, Path], name: str
) -> List[Path]:
    """Write a figure as PNG and SVG into a folder, and close it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f'{name}.png', folder / f'{name}.svg']
    pyplot = load_pyplot()
    with pyplot.rc_context(STYLE):
        figure.savefig(files[0], dpi=150)
        figure.savefig(files[1], metadata={'Date': None})
    pyplot.close(figure)
    return files
