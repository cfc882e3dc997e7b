# Copyright (c) mmleuk authors. All rights reserved.
"""Confidence intervals of shares."""

from typing import Tuple

from scipy.stats import binomtest


def wilson_interval(
    num_hits: int, count: int, confidence: float = 0.95
) -> Tuple[float, float]:
    """Wilson's score interval of a share (Wilson, 1927, JASA 22).

    Unlike share +- 1.96 standard errors it never leaves [0, 1], and has a
    width where all or none of a few are hits.

    Args:
        num_hits (int): Number of hits.
        count (int): Number of all.
        confidence (float): Confidence level.

    Returns:
        tuple[float, float]: Its ends; (0, 1) for a count of 0.

    Raises:
        ValueError: If there are more hits than the count.
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
