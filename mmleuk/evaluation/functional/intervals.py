# Copyright (c) mmleuk authors. All rights reserved.
"""How far a share of few cells may be from the truth."""

from typing import Tuple

from scipy.stats import binomtest


def wilson_interval(
    num_hits: int, count: int, confidence: float = 0.95
) -> Tuple[float, float]:
    """Wilson's score interval of a share (Wilson, 1927, JASA 22).

    Unlike the textbook interval (share +- 1.96 standard errors) it never
    leaves [0, 1], and it isn't empty where all or none of a few are hits.

    Args:
        num_hits (int): How many are hits.
        count (int): Of how many.
        confidence (float): Chance with which the interval holds the true
            share. Defaults to 0.95.

    Returns:
        tuple[float, float]: Its ends; (0, 1), which says nothing, of none.

    Raises:
        ValueError: If there are more hits than there are altogether.
    """
    num_hits, count = int(num_hits), int(count)
    if not 0 <= num_hits <= count:
        raise ValueError(
            f'got {num_hits} hits of {count}, expected no more than there are'
        )
    if count == 0:
        return 0.0, 1.0
    interval = binomtest(num_hits, count).proportion_ci(
        confidence, method='wilson'
    )
    return float(interval.low), float(interval.high)
