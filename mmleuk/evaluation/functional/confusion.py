# Copyright (c) mmleuk authors. All rights reserved.
"""Confusion tables of types and attributes."""

from typing import Optional

import numpy as np
from sklearn.metrics import confusion_matrix

from mmleuk.structures import MISSING

from .matched_results import MatchedResults


def type_confusion(
    matched: MatchedResults, num_classes: int, score_thr: float
) -> np.ndarray:
    """Count the predicted types of the cells of each type.

    Detections match cells of any type. A duplicate of a cell counts as no
    cell.

    Args:
        matched (MatchedResults): The detections and cells.
        num_classes (int): Number of types.
        score_thr (float): Lowest score of a detection.

    Returns:
        np.ndarray: int64, shape (num_classes + 1, num_classes + 1). A row is
        a true type, the last "no such cell"; a column a predicted type, the
        last "missed".
    """
    return _count(
        matched, matched.cell_labels, matched.labels, num_classes, score_thr
    )


def attribute_confusion(
    matched: MatchedResults,
    index: int,
    num_values: int,
    score_thr: float,
    same_type: bool = False,
) -> np.ndarray:
    """Count the predicted values of the cells of each value.

    Cells whose value nobody stated are left out, and with them the detections
    that match them. The end-to-end macro-F1 of :class:`LLDMetric` is that of
    this table.

    Args:
        matched (MatchedResults): The detections and cells.
        index (int): Which attribute.
        num_values (int): Number of its values.
        score_thr (float): Lowest score of a detection.
        same_type (bool): Whether only detections and cells of one type match.

    Returns:
        np.ndarray: int64, shape (num_values + 1, num_values + 1), rows and
        columns as in :func:`type_confusion`.
    """
    return _count(
        matched,
        matched.cell_codes[:, index],
        matched.codes[:, index],
        num_values,
        score_thr,
        matched.type_matches if same_type else None,
    )


def _count(
    matched: MatchedResults,
    truth: np.ndarray,
    predicted: np.ndarray,
    size: int,
    score_thr: float,
    matches: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Count matches, missed cells and false positives."""
    matches = matched.matches if matches is None else matches
    exists = matched.scores >= score_thr
    paired = exists & (matches >= 0)
    found = np.full(len(truth), size, dtype=np.int64)
    found[matches[paired]] = predicted[paired]
    known = truth != MISSING
    false = predicted[exists & (matches < 0) & ~matched.in_unknown_area]
    rows = np.concatenate([truth[known], np.full(len(false), size)])
    columns = np.concatenate([found[known], false])
    if not len(rows):
        return np.zeros((size + 1, size + 1), dtype=np.int64)
    return confusion_matrix(rows, columns, labels=np.arange(size + 1))


def table_macro_f1(counts: np.ndarray) -> float:
    """Macro-F1 of a table of :func:`type_confusion` or of an attribute.

    Args:
        counts (np.ndarray): Shape (k + 1, k + 1), the last row "no such
            cell", the last column "missed".

    Returns:
        float: Mean of the F1 over the rows that have cells; NaN if none has.
    """
    cells, predicted = counts.sum(axis=1)[:-1], counts.sum(axis=0)[:-1]
    occurs = cells > 0
    f1 = 2 * np.diag(counts)[:-1][occurs] / (cells + predicted)[occurs]
    return float(f1.mean()) if occurs.any() else float('nan')


def attribute_frequencies(
    labels: np.ndarray, codes: np.ndarray, num_classes: int, num_values: int
) -> np.ndarray:
    """Count the values of one attribute by type.

    Args:
        labels (np.ndarray): Types, int64, shape (n, ).
        codes (np.ndarray): Values, ``MISSING`` where unknown, shape (n, ).
        num_classes (int): Number of types.
        num_values (int): Number of values.

    Returns:
        np.ndarray: int64, shape (num_classes, num_values).
    """
    counts = np.zeros((num_classes, num_values), dtype=np.int64)
    known = codes != MISSING
    np.add.at(counts, (labels[known], codes[known]), 1)
    return counts
