# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest

from mmleuk.evaluation.functional import wilson_interval


def test_known_interval():
    # Newcombe, 1998, Statistics in Medicine 17, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx(
        (0.2553, 0.3662), abs=1e-4
    )
    assert wilson_interval(15, 148) == pytest.approx(
        (0.0624, 0.1605), abs=1e-4
    )


def test_none_and_all_leave_room_for_doubt():
    low, high = wilson_interval(0, 20)
    assert (low, high) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20) == pytest.approx((1 - high, 1 - low))


def test_of_nothing_it_says_nothing():
    assert wilson_interval(0, 0) == (0, 1)


def test_counts_may_be_numpy_numbers():
    assert wilson_interval(np.float64(3), np.int64(9)) == wilson_interval(3, 9)


def test_refuses_more_hits_than_tries():
    with pytest.raises(ValueError, match='4 hits of 3'):
        wilson_interval(4, 3)
