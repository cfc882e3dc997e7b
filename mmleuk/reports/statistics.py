# Copyright (c) mmleuk authors. All rights reserved.
"""Shares of cells and how far they may be from the truth."""

from dataclasses import dataclass
from typing import List, Optional

import numpy as np
from scipy.stats import norm, t

from mmleuk.evaluation.functional.intervals import wilson_interval

# Multinomial counts held at once while fields are drawn.
_MAX_DRAWN = 1 << 22

WILSON, BOOTSTRAP = 'wilson', 'bootstrap'


@dataclass(frozen=True)
class Share:
    """A share of cells and its interval.

    Args:
        count (int): Cells counted, such as those of a type.
        total (int): All cells.
        low (float): Lower end of the interval, in [0, 1].
        high (float): Upper end.
        method (str): ``'bootstrap'`` or ``'wilson'``.
    """

    count: int
    total: int
    low: float
    high: float
    method: str

    @property
    def value(self) -> Optional[float]:
        """float: The share, None of no cells."""
        return self.count / self.total if self.total else None

    def relation(self, mark: float) -> str:
        """Tell where the interval lies relative to a share ``mark``.

        It is ``'above'``, ``'below'`` or ``'across'``.
        """
        if self.low > mark:
            return 'above'
        return 'below' if self.high < mark else 'across'


def share_by_cells(count: int, total: int, level: float = 0.95) -> Share:
    """Compute a share and Wilson's interval, for independent cells.

    Args:
        count (int): Cells counted.
        total (int): All cells.
        level (float): Probability that the interval contains the true share.

    Returns:
        Share: The share.
    """
    low, high = wilson_interval(count, total, level)
    return Share(int(count), int(total), low, high, WILSON)


def shares_by_fields(
    counts: np.ndarray,
    totals: np.ndarray,
    level: float = 0.95,
    min_fields: int = 5,
    num_resamples: int = 4000,
    seed: int = 0,
) -> List[Share]:
    """Intervals of shares whose cells lie in fields.

    Cells of one field are not independent: they lie where the film was thick
    or thin, and blasts lie together. So fields, not cells, are drawn with
    replacement, and the interval is the expanded percentile interval
    (Hesterberg, 2015, The American Statistician 69, section 5.3), which
    compensates that the bootstrap is too narrow with few fields.

    For a type that was seen once or never the bootstrap is still too narrow
    (without cells it is 0 to 0), so each end is extended to that of Wilson's
    interval if that is wider. In simulations with 5 to 25 fields of 6 cells,
    5 % or 20 % of them of the type and an intraclass correlation of 0 to 0.3,
    the nominal 95 % came to 89 % to 100 %; Wilson's alone to 75 % to 97 %.

    Args:
        counts (np.ndarray): Cells counted in each field for each of k shares,
            integers, shape (fields, k).
        totals (np.ndarray): All cells of each field, shape (fields, ).
        level (float): Probability that an interval contains the true share.
        min_fields (int): With fewer fields that have cells, only Wilson's
            interval is computed.
        num_resamples (int): Number of draws.
        seed (int): Seed of the draws.

    Returns:
        list[Share]: One for each column of ``counts``.

    Raises:
        ValueError: If the shapes disagree, or a field has more cells of a
            type than cells.
    """
    counts = np.asarray(counts, dtype=np.int64)
    totals = np.asarray(totals, dtype=np.int64)
    if counts.ndim != 2 or totals.shape != counts.shape[:1]:
        raise ValueError(
            f'got counts of the shape {counts.shape} and totals of the shape '
            f'{totals.shape}, expected (fields, k) and (fields, )'
        )
    if counts.size and (counts.min() < 0 or (counts > totals[:, None]).any()):
        raise ValueError(
            'a field has more cells of a type than cells, or fewer than none'
        )
    shares = [
        share_by_cells(count, totals.sum(), level)
        for count in counts.sum(axis=0)
    ]
    if np.count_nonzero(totals) < max(2, min_fields):
        return shares
    drawn = _draw_fields(counts, totals, num_resamples, seed)
    num_fields = len(totals)
    tail = norm.cdf(
        np.sqrt(num_fields / (num_fields - 1))
        * t.ppf((1 - level) / 2, num_fields - 1)
    )
    lows, highs = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return [
        Share(
            share.count,
            share.total,
            min(share.low, float(low)),
            max(share.high, float(high)),
            BOOTSTRAP,
        )
        for share, low, high in zip(shares, lows, highs)
    ]


def _draw_fields(
    counts: np.ndarray, totals: np.ndarray, num_resamples: int, seed: int
) -> np.ndarray:
    """Shares in draws of fields, shape (draws that hold a cell, k)."""
    rng = np.random.default_rng(seed)
    num_fields = len(totals)
    weights = np.full(num_fields, 1 / num_fields)
    size = max(1, _MAX_DRAWN // num_fields)
    parts = []
    for start in range(0, num_resamples, size):
        times = rng.multinomial(
            num_fields, weights, size=min(size, num_resamples - start)
        )
        cells = times @ totals
        held = cells > 0
        parts.append((times @ counts)[held] / cells[held, None])
    return np.concatenate(parts)
