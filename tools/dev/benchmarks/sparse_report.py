# Copyright (c) mmleuk authors. All rights reserved.
"""Table and curves of the sparse benchmark, from its result files alone."""

import json
import statistics
from itertools import cycle
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import runs

from mmleuk.visualization import load_pyplot

AP = 'lld/bbox_mAP'
ATTRIBUTES = 'lld/attr_macro_f1'
# Title of each column and the score that it holds.
COLUMNS = {
    'box AP': AP,
    'box AP50': 'lld/bbox_mAP_50',
    'box AP50, any class': 'lld/bbox_agnostic_mAP_50',
    'attribute macro-F1, given a match': ATTRIBUTES,
    'that of the majority of the type': 'lld/attr_macro_f1_type_majority',
    'attribute macro-F1, end to end': 'lld/attr_macro_f1_e2e',
}
CURVES = {'box AP': AP, 'attribute macro-F1, given a match': ATTRIBUTES}

# Colour and marker by method: Okabe and Ito's colours and one of Tol's, which
# the colour-blind can tell apart; grey for simple baselines.
STYLES = {
    'naive': ('#888888', 'x'),
    'ignore': ('#555555', '+'),
    'crop': ('#CC79A7', 's'),
    'self-training': ('#009E73', '^'),
    'sla-det': ('#56B4E9', 'v'),
    'soft-teacher': ('#0072B2', 'D'),
    'mosaic': ('#882255', 'p'),
    'self-mined': ('#E69F00', 'P'),
    'mined': ('#D55E00', 'o'),
}
OTHER_COLOUR = '#332288'
# For the same method under other settings.
LINE_STYLES = ('-', '--', ':', '-.')
# Smallest distance of two names at the curves' ends, as a share of the axis.
NAME_DISTANCE = 0.06


class Entry(NamedTuple):
    """A method under one setting.

    Args:
        method (str): Its name.
        options (tuple[str]): The ``key=value`` overrides.
    """

    method: str
    options: Tuple[str, ...] = ()

    def __str__(self) -> str:
        return ' '.join([self.method, *self.options])


class LineEnd(NamedTuple):
    """Where a line ends that is to be named.

    Args:
        text (str): The name.
        x (float, optional): Where it ends in data coordinates, None for a
            line across all of the axes.
        y (float): Its height there.
        colour (str): Its colour.
    """

    text: str
    x: Optional[float]
    y: float
    colour: str


# The results of one cell of the matrix, by data, entry and share.
Results = Dict[str, Dict[Entry, Dict[float, List[dict]]]]


def load_results(base: Path) -> List[dict]:
    """Read the results of all runs in a folder."""
    return [
        json.loads(path.read_text())
        for path in sorted(base.glob('runs/**/result.json'))
    ]


def group_results(
    results: Sequence[dict], methods: Sequence[str], data: Sequence[str]
) -> Results:
    """Group results by data, method with setting, and share.

    Args:
        results (Sequence[dict]): The results.
        methods (Sequence[str]): Names of methods in the order wished for.
        data (Sequence[str]): Names of data sets in the order wished for.

    Returns:
        dict: Results, one a seed, by data, entry and share, in the
        order wished for and with the largest share first.
    """

    def order(result: dict) -> tuple:
        return (
            data.index(result['data']),
            methods.index(result['method']),
            result['cfg_options'],
            -result['share'],
            result['seed'],
        )

    groups: Results = {}
    for result in sorted(results, key=order):
        entry = Entry(result['method'], tuple(result['cfg_options']))
        shares = groups.setdefault(result['data'], {}).setdefault(entry, {})
        shares.setdefault(result['share'], []).append(result)
    return groups


def ceiling_of(
    entries: Dict[Entry, Dict[float, List[dict]]], entry: Entry, full: str
) -> List[dict]:
    """Find the results with all labels that an entry is measured against.

    Args:
        entries (dict): Results of one data set by entry and share.
        entry (Entry): The entry.
        full (str): Name of the method that has all labels.

    Returns:
        list[dict]: Those under the same overrides, or else under none, or
        else no results.
    """
    for options in (entry.options, ()):
        shares = entries.get(Entry(full, options))
        if shares:
            return shares[1]
    return []


def values_of(results: Sequence[dict], key: str) -> List[float]:
    """Take one defined score, or ``minutes``, of each result."""
    return runs.defined(
        [
            result['minutes']
            if key == 'minutes'
            else result['scores'].get(key)
            for result in results
        ]
    )


def compare(results: Sequence[dict], ceiling: Sequence[dict], key: str) -> str:
    """Write a score as mean, spread and share of the ceiling's mean.

    Such as ``0.762 ± 0.010 (94 %)``.
    """
    values, most = values_of(results, key), values_of(ceiling, key)
    text = runs.spread(values, '.1f' if key == 'minutes' else '.3f')
    if not values or not most or not statistics.mean(most):
        return text
    share = statistics.mean(values) / statistics.mean(most)
    return f'{text} ({share:.0%})'.replace('%', ' %')


def make_table(groups: Results, full: str) -> str:
    """Make a Markdown table of all scores for each data set."""
    parts = []
    for data, entries in groups.items():
        rows = [
            ['labelled', 'method', 'seeds', *COLUMNS, 'minutes', 'revision']
        ]
        shares = {share for cells in entries.values() for share in cells}
        for share in sorted(shares, reverse=True):
            for entry, cells in entries.items():
                if share not in cells:
                    continue
                ceiling = []
                if entry.method != full:
                    ceiling = ceiling_of(entries, entry, full)
                name = ' '.join(
                    [entry.method, *(f'`{o}`' for o in entry.options)]
                )
                results = cells[share]
                rows.append(
                    [f'{100 * share:g} %', name, str(len(results))]
                    + [
                        compare(results, ceiling, key)
                        for key in (*COLUMNS.values(), 'minutes')
                    ]
                    # More than one: the mean is of different code.
                    + [', '.join(sorted({r['revision'] for r in results}))]
                )
        title = f'**{data}**, mean ± standard deviation over seeds'
        if any(entry.method == full for entry in entries):
            title += f' (share of `{full}`)'
        parts.append(f'{title}\n\n{runs.markdown_table(rows)}')
    return '\n\n'.join(parts) + '\n'


def spread_out(heights: Sequence[float], distance: float) -> List[float]:
    """Move heights apart to a minimum distance, with small shifts."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    # Groups that touch: indices, and the centre that suits them best.
    groups: List[Tuple[List[int], float]] = []
    for index in order:
        group, centre = [index], heights[index]
        while groups:
            above = groups[-1]
            gap = (len(group) + len(above[0])) / 2 * distance
            if centre - above[1] >= gap:
                break
            groups.pop()
            group = above[0] + group
            centre = statistics.mean(heights[i] for i in group)
        groups.append((group, centre))
    moved = list(heights)
    for group, centre in groups:
        for rank, index in enumerate(group):
            moved[index] = centre + (rank - (len(group) - 1) / 2) * distance
    return moved


def draw_curves(groups: Results, full: str) -> Any:
    """Draw scores against the labelled share, one line a method.

    A row is a data set, a column a score.
    """
    pyplot = load_pyplot()
    pyplot.rcParams['font.size'] = 9
    figure, grid = pyplot.subplots(
        len(groups),
        len(CURVES),
        figsize=(5.2 * len(CURVES), 3.8 * len(groups)),
        squeeze=False,
        layout='constrained',
    )
    for row, (data, entries) in zip(grid, groups.items()):
        for axes, (title, key) in zip(row, CURVES.items()):
            if draw_panel(axes, entries, key, full):
                axes.set_title(f'{data}: {title}', loc='left', fontsize=10)
            else:
                axes.set_axis_off()
    figure.supxlabel('bars and band: standard deviation over seeds', size=8)
    return figure


def draw_panel(
    axes: Any,
    entries: Dict[Entry, Dict[float, List[dict]]],
    key: str,
    full: str,
) -> bool:
    """Draw one score of one data set.

    Args:
        axes (matplotlib.axes.Axes): Where to draw.
        entries (dict): Results by entry and share.
        key (str): The score.
        full (str): Name of the method that has all labels.

    Returns:
        bool: Whether any result has that score.
    """
    drawn = {entry.method: cycle(LINE_STYLES) for entry in entries}
    names: List[LineEnd] = []
    ticks = set()
    lines = []
    for entry, cells in entries.items():
        points = {
            share: values_of(results, key) for share, results in cells.items()
        }
        points = {s: values for s, values in sorted(points.items()) if values}
        if not points:
            continue
        means = [statistics.mean(values) for values in points.values()]
        spreads = [
            statistics.stdev(values) if len(values) > 1 else 0
            for values in points.values()
        ]
        if entry.method == full:
            axes.axhline(means[0], color='black', linewidth=1, linestyle='--')
            axes.axhspan(
                means[0] - spreads[0],
                means[0] + spreads[0],
                color='black',
                alpha=0.08,
                linewidth=0,
            )
            name = f'{entry} (all labels)'
            names.append(LineEnd(name, None, means[0], 'black'))
            continue
        lines.append((entry, list(points), means, spreads))
        ticks.update(points)

    ordered = sorted(ticks)
    for number, (entry, shares, means, spreads) in enumerate(lines):
        colour, marker = STYLES.get(entry.method, (OTHER_COLOUR, '*'))
        # Side by side, so that bars of one share do not hide each other.
        shift = 1.012 ** (number - (len(lines) - 1) / 2)
        axes.errorbar(
            [share * shift for share in shares],
            means,
            yerr=spreads,
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=2.2 if entry.method == 'mined' else 1.4,
            elinewidth=1,
            capsize=2,
            linestyle=next(drawn[entry.method]),
        )
        names.append(
            LineEnd(str(entry), shares[-1] * shift, means[-1], colour)
        )
    if not names:
        return False
    style_axes(axes, ordered)
    write_names(axes, names)
    return True


def style_axes(axes: Any, shares: Sequence[float]) -> None:
    """Set up the axes of one panel with a logarithmic axis of shares."""
    if shares:
        axes.set_xscale('log')
        axes.set_xlim(shares[0] / 1.15, shares[-1] * 1.15)
        axes.set_xticks(shares, [f'{100 * share:g} %' for share in shares])
        axes.set_xticks([], minor=True)
    else:
        axes.set_xticks([])
    axes.set_xlabel('labelled share of each field')
    axes.grid(axis='y', color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def write_names(axes: Any, names: Sequence[LineEnd]) -> None:
    """Write the name of each line at its right end."""
    low, high = axes.get_ylim()
    # As shares of the axis, so that names keep their distance in print.
    ends = [(name.y - low) / (high - low) for name in names]
    places = spread_out(ends, NAME_DISTANCE)
    for name, place in zip(names, places):
        across = name.x is None
        axes.annotate(
            name.text,
            xy=(1 if across else name.x, name.y),
            xycoords=('axes fraction' if across else 'data', 'data'),
            xytext=(1.05, place),
            textcoords='axes fraction',
            color=name.colour,
            va='center',
            annotation_clip=False,
            arrowprops=dict(
                arrowstyle='-',
                color=name.colour,
                linewidth=0.6,
                alpha=0.7,
                relpos=(0, 0.5),
                shrinkA=0,
                shrinkB=0 if across else 4,
            ),
        )


def write_report(
    results: Sequence[dict],
    base: Path,
    methods: Sequence[str],
    data: Sequence[str],
    full: str,
) -> None:
    """Print the table, write it and draw the curves."""
    groups = group_results(results, methods, data)
    table = make_table(groups, full)
    print(table)
    base.mkdir(parents=True, exist_ok=True)
    (base / 'table.md').write_text(table, encoding='utf-8')
    figure = draw_curves(groups, full)
    for suffix in ('png', 'svg'):
        figure.savefig(base / f'curve.{suffix}', dpi=150)
    print(f'{base}: table.md, curve.png and curve.svg')
