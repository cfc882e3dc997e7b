# Copyright (c) mmleuk authors. All rights reserved.
"""Scores of one attribute over many cells.

Every function takes codes of *one* attribute, leaves out cells whose true code
is missing, and returns NaN where nothing is left. Means over values run over
those that occur in the truth: a value that no cell has gives no score, and
predicting it is an error of the cell's true value already.
"""

from typing import Dict, Iterable, Optional

import numpy as np
from sklearn.metrics import average_precision_score, f1_score

from mmleuk.structures import MISSING, macro_f1

_NAN = float('nan')


def matched_scores(
    truth: np.ndarray,
    predicted: np.ndarray,
    probs: Optional[np.ndarray] = None,
) -> Dict[str, float]:
    """Score an attribute over cells that a detection was matched to.

    Args:
        truth (np.ndarray): True codes, ``MISSING`` where nobody stated one,
            shape (n, ).
        predicted (np.ndarray): Predicted codes, shape (n, ).
        probs (np.ndarray, optional): Predicted probability of each value,
            shape (n, number of values).

    Returns:
        dict[str, float]: ``accuracy``, ``balanced_accuracy`` (mean recall of
        the values), ``macro_f1``, ``support`` (int, number of cells with a
        known code) and, given ``probs``, ``ap``: mean over the values that
        some of these cells have and some have not (without a negative any
        predictor has an AP of 1) of one-versus-rest average precision. All
        but ``support`` are NaN where undefined.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    known = truth != MISSING
    truth, predicted = truth[known], predicted[known]
    values = np.unique(truth)
    recalls = [np.mean(predicted[truth == value] == value) for value in values]
    scores = dict(
        accuracy=float(np.mean(truth == predicted)) if len(truth) else _NAN,
        balanced_accuracy=average_scores(recalls),
        macro_f1=macro_f1(truth, predicted),
        support=len(truth),
    )
    if probs is not None:
        probs = np.asarray(probs)[known]
        precisions = [
            average_precision_score(truth == value, probs[:, value])
            for value in values
            if len(values) > 1
        ]
        scores['ap'] = average_scores(precisions)
    return scores


def best_overlap_f1(
    truth: np.ndarray, predicted: np.ndarray, num_values: int
) -> float:
    """F1 as AttriDet's authors report it.

    For two values it is the binary F1 of value 1, so that always predicting
    the more frequent "1" scores high; for more values it is the macro-F1.

    Args:
        truth (np.ndarray): True codes, ``MISSING`` where nobody stated one,
            shape (n, ).
        predicted (np.ndarray): Codes of each cell's best-overlapping
            detection, ``MISSING`` without one, shape (n, ).
        num_values (int): Number of values of the attribute.

    Returns:
        float: F1 in [0, 1]; NaN where it is undefined (no known code, or a
        value 1 neither true nor predicted anywhere).
    """
    if num_values > 2:
        return macro_f1(truth, predicted)
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    known = truth != MISSING
    if not known.any():
        return _NAN
    return float(
        f1_score(
            truth[known] == 1, predicted[known] == 1, zero_division=np.nan
        )
    )


def average_scores(scores: Iterable[float]) -> float:
    """Average over the scores that are defined.

    Args:
        scores (Iterable[float]): Scores, NaN where undefined.

    Returns:
        float: Mean of the others; NaN if there is none.
    """
    defined = [score for score in scores if not np.isnan(score)]
    return float(np.mean(defined)) if defined else _NAN
