# Copyright (c) mmleuk authors. All rights reserved.
"""Scores of one attribute over many cells.

Every function takes codes of *one* attribute, leaves out the cells whose true
code is missing, and returns NaN where nothing is left to score. Means over
values run over the values that occur in the truth: a value that no cell has
gives neither a score nor, by being predicted, a further zero (the cell it was
predicted for is an error already).
"""

from typing import Dict, Iterable, Optional

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    recall_score,
)

from mmleuk.structures import MISSING

_NAN = float('nan')


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the values in ``truth`` of each value's F1.

    Args:
        truth (np.ndarray): True codes, ``MISSING`` where nobody stated one,
            shape (n, ).
        predicted (np.ndarray): Predicted codes, shape (n, ). ``MISSING`` is
            the answer "none of the values" and so an error.

    Returns:
        float: Macro-F1 in [0, 1]; NaN without a known code.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    known = truth != MISSING
    if not known.any():
        return _NAN
    return float(
        f1_score(
            truth[known],
            predicted[known],
            labels=np.unique(truth[known]),
            average='macro',
            zero_division=0,
        )
    )


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
    scores = dict(
        accuracy=_NAN,
        balanced_accuracy=_NAN,
        macro_f1=macro_f1(truth, predicted),
        support=len(truth),
    )
    if len(truth):
        scores['accuracy'] = float(accuracy_score(truth, predicted))
        # Not balanced_accuracy_score, which is the same number but warns of
        # each predicted value that the truth lacks.
        scores['balanced_accuracy'] = float(
            recall_score(
                truth,
                predicted,
                labels=values,
                average='macro',
                zero_division=0,
            )
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


def end_to_end_macro_f1(
    truth: np.ndarray, predicted: np.ndarray, false_alarms: np.ndarray
) -> float:
    """Macro-F1 that charges missed cells and invented ones.

    A missed cell is a false negative of its true value, and a detection that
    is no cell a false positive of the value it names: this is the F1 of the
    statement "here is a cell with this value".

    Args:
        truth (np.ndarray): True codes of *all* cells, ``MISSING`` where
            nobody stated one, shape (n, ).
        predicted (np.ndarray): Predicted codes, ``MISSING`` for a missed
            cell, shape (n, ).
        false_alarms (np.ndarray): Codes predicted for detections that match
            no cell, shape (m, ).

    Returns:
        float: Macro-F1 in [0, 1]; NaN without a known code.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    known = truth != MISSING
    if not known.any():
        return _NAN
    false_alarms = np.asarray(false_alarms)
    return float(
        f1_score(
            np.concatenate(
                [truth[known], np.full(len(false_alarms), MISSING)]
            ),
            np.concatenate([predicted[known], false_alarms]),
            labels=np.unique(truth[known]),
            average='macro',
            zero_division=0,
        )
    )


def best_overlap_f1(
    truth: np.ndarray, predicted: np.ndarray, num_values: int
) -> float:
    """F1 as AttriDet's authors report it.

    Of two values it is the binary F1 of value 1, so always saying the more
    frequent "1" scores high; of more values it is the macro-F1.

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
