# Copyright (c) mmleuk authors. All rights reserved.
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mmleuk.structures import macro_f1


@pytest.mark.parametrize('seed', range(5))
def test_is_scikit_learns_over_the_values_that_occur(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(-1, 3, (2, 30))
    truth[truth == 1] = 0
    false = rng.integers(0, 3, seed)
    known = truth >= 0
    expected = f1_score(
        np.concatenate([truth[known], np.full(len(false), -1)]),
        np.concatenate([predicted[known], false]),
        labels=[0, 2],
        average='macro',
    )
    assert macro_f1(truth, predicted, false) == pytest.approx(expected)


def test_is_undefined_without_a_known_code():
    nothing = np.array([-1, -1])
    assert math.isnan(macro_f1(nothing, np.array([0, 1]), [0]))
    assert math.isnan(macro_f1([], []))
