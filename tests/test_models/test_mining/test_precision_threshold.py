# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch

from mmleuk.models.mining.precision_threshold import precision_threshold


@pytest.mark.parametrize(
    'probs, min_probability, expected',
    [
        # 0.99 and 0.81 are right in 9 of 10 cases.
        ([0.81, 0.99, 0.6], 0.0, 0.81),
        ([0.81, 0.99, 0.6], 0.85, 0.99),
        # All that are equal would make it too low.
        ([0.99, 0.85, 0.85, 0.85, 0.85], 0.0, 0.99),
        ([0.95, 0.95], 0.0, 0.95),
        # None is good enough: nothing reaches the threshold.
        ([0.89, 0.3], 0.0, 0.9),
        ([0.92], 0.95, 0.95),
        ([], 0.0, 0.9),
    ],
)
def test_as_low_as_the_mean_allows(probs, min_probability, expected):
    threshold = precision_threshold(torch.tensor(probs), 0.9, min_probability)
    assert threshold == pytest.approx(expected)


def test_equal_probabilities_reach_their_threshold():
    """Whatever rounding does on the way."""
    probs = torch.rand(1000)
    threshold = precision_threshold(probs, 0.8)
    taken = probs >= torch.tensor(threshold)
    assert probs[taken].mean() >= 0.8
    assert probs.min() not in probs[taken]
