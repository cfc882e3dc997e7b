# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence

import numpy as np

from .attribute_schema import MISSING


def macro_f1(
    truth: np.ndarray,
    predicted: np.ndarray,
    false_positives: Sequence[int] = (),
) -> float:
    """Mean over the values in ``truth`` of each value's F1.

    A false positive counts for the value it predicts. With those, and with
    all cells, this is the F1 of the statement "here is a cell with this
    value".

    Args:
        truth (np.ndarray): True codes of one attribute, ``MISSING`` where
            nobody stated one, shape (n, ).
        predicted (np.ndarray): Predicted codes, ``MISSING`` for a missed
            cell, which is an error, shape (n, ).
        false_positives (Sequence[int]): Codes of false positives, shape
            (m, ).

    Returns:
        float: Macro-F1 in [0, 1]; NaN without a known code.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    known = truth != MISSING
    if not known.any():
        return float('nan')
    truth, predicted = truth[known], predicted[known]
    values, counts = np.unique(truth, return_counts=True)
    hits = predicted[truth == predicted]
    every = np.concatenate([predicted, np.asarray(false_positives, int)])
    right, stated = (
        (codes == values[:, None]).sum(axis=1) for codes in (hits, every)
    )
    return float(np.mean(2 * right / (counts + stated)))
