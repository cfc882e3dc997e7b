# Copyright (c) mmleuk authors. All rights reserved.
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.reports import Share, share_by_cells, shares_by_fields


def wilson_by_hand(count, total, z=1.959963984540054):
    share = count / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    half /= 1 + z**2 / total
    return middle - half, middle + half


@pytest.mark.parametrize('count, total', [(0, 84), (54, 95), (20, 20), (1, 3)])
def test_by_cells_is_wilsons_interval(count, total):
    share = share_by_cells(count, total)
    low, high = wilson_by_hand(count, total)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-12)
    assert share.value == count / total
    assert share.method == 'wilson'


def test_a_published_example():
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263.
    share = share_by_cells(81, 263)
    assert (share.low, share.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_nothing_is_known_of_no_cells():
    share = share_by_cells(0, 0)
    assert (share.value, share.low, share.high) == (None, 0, 1)


@pytest.mark.parametrize(
    'low, high, relation',
    [
        (0.21, 0.4, 'above'),
        (0.1, 0.19, 'below'),
        (0.1, 0.3, 'across'),
        (0.2, 0.3, 'across'),
        (0.1, 0.2, 'across'),
    ],
)
def test_relation_to_a_mark(low, high, relation):
    assert Share(1, 5, low, high, 'wilson').relation(0.2) == relation


def test_few_fields_are_no_bootstrap():
    counts = np.array([[3], [0], [2], [1], [0]])
    totals = np.array([5, 4, 6, 3, 0])
    (share,) = shares_by_fields(counts, totals, min_fields=5)
    assert share == share_by_cells(6, 18)
    (share,) = shares_by_fields(counts, totals, min_fields=4)
    assert share.method == 'bootstrap'


def test_fields_that_differ_widen_the_interval():
    totals = np.full(12, 10)
    alike = np.full((12, 1), 5)
    apart = np.array([[0], [10]] * 6)
    (same,) = shares_by_fields(alike, totals)
    (other,) = shares_by_fields(apart, totals)
    wilson = share_by_cells(60, 120)
    # Fields that are all alike are no reason to be surer than Wilson.
    assert (same.low, same.high) == (wilson.low, wilson.high)
    assert other.low < wilson.low - 0.1
    assert other.high > wilson.high + 0.1


def test_against_all_draws_of_three_fields():
    """The bootstrap is compared with its exact distribution."""
    counts = np.array([[1], [4], [0]])
    totals = np.array([5, 8, 2])
    draws = np.array(np.meshgrid(*[range(3)] * 3)).reshape(3, -1)
    exact = counts[draws, 0].sum(axis=0) / totals[draws].sum(axis=0)
    # Level at which the expanded tail of three fields is 10 %, by hand:
    # t = norm.ppf(.1) / sqrt(1.5) = -1.0464, and P(T2 < t) = .2026.
    tail = 0.20261
    (share,) = shares_by_fields(
        counts, totals, level=1 - 2 * tail, min_fields=2, num_resamples=40000
    )
    low, high = np.quantile(exact, [0.1, 0.9], method='inverted_cdf')
    wilson = share_by_cells(5, 15, 1 - 2 * tail)
    assert share.low == pytest.approx(min(low, wilson.low), abs=1e-9)
    assert share.high == pytest.approx(max(high, wilson.high), abs=1e-9)
    assert (low, high) != (wilson.low, wilson.high)


def test_coverage_where_fields_differ():
    """Simulated films: a share of 20 %, intraclass correlation 0.1."""
    rng = np.random.default_rng(0)
    held = {'fields': 0, 'cells': 0}
    num_films = 300
    for _ in range(num_films):
        totals = rng.poisson(6, 15)
        counts = rng.binomial(totals, rng.beta(1.8, 7.2, 15))
        (share,) = shares_by_fields(
            counts[:, None], totals, num_resamples=1000
        )
        plain = share_by_cells(counts.sum(), totals.sum())
        held['fields'] += share.low <= 0.2 <= share.high
        held['cells'] += plain.low <= 0.2 <= plain.high
    assert held['fields'] / num_films > 0.91
    assert held['cells'] < held['fields']


def test_same_seed_same_interval():
    rng = np.random.default_rng(1)
    totals = rng.poisson(8, 30)
    counts = rng.binomial(totals, 0.3)[:, None]
    first = shares_by_fields(counts, totals, seed=4)
    assert shares_by_fields(counts, totals, seed=4) == first
    assert shares_by_fields(counts, totals, seed=5) != first


def test_many_fields_are_drawn_in_parts(monkeypatch):
    rng = np.random.default_rng(1)
    totals = rng.poisson(8, 30)
    counts = rng.binomial(totals, 0.3)[:, None]
    (whole,) = shares_by_fields(counts, totals)
    monkeypatch.setattr('mmleuk.reports.statistics._MAX_DRAWN', 30 * 7)
    (parts,) = shares_by_fields(counts, totals)
    assert (parts.low, parts.high) == pytest.approx(
        (whole.low, whole.high), abs=0.01
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=0, max_size=9
    )
)
def test_whatever_the_fields(fields):
    counts = np.array([[a] for a, _ in fields], dtype=int).reshape(-1, 1)
    totals = np.array([a + b for a, b in fields], dtype=int)
    (share,) = shares_by_fields(counts, totals, num_resamples=200)
    assert 0 <= share.low <= share.high <= 1
    plain = share_by_cells(share.count, share.total)
    assert share.low <= plain.low
    assert share.high >= plain.high
    if share.total:
        assert share.low <= share.value <= share.high


@pytest.mark.parametrize(
    'counts, totals, message',
    [
        ([[3]], [2], 'more cells of a type than cells'),
        ([[-1]], [2], 'fewer than none'),
        ([3], [2], r'shape \(1,\)'),
        ([[3]], [2, 3], r'expected \(fields, k\)'),
    ],
)
def test_bad_counts_are_refused(counts, totals, message):
    with pytest.raises(ValueError, match=message):
        shares_by_fields(np.array(counts), np.array(totals))
