# Copyright (c) mmleuk authors. All rights reserved.
"""Tables of what was named against what is there."""

from typing import Optional

import numpy as np
from sklearn.metrics import confusion_matrix

from mmleuk.structures import MISSING

from .matched_results import MatchedResults


def type_confusion(
    judged: MatchedResults, num_classes: int, score_thr: float
) -> np.ndarray:
    """Count which type was named for cells of each type.

    Detections and cells are paired whatever the types say. A second
    detection of a cell names a cell that isn't there.

    Args:
        judged (MatchedResults): The detections and cells.
        num_classes (int): Number of types.
        score_thr (float): Score from which a detection exists.

    Returns:
        np.ndarray: int64, shape (num_classes + 1, num_classes + 1). A row is
        a true type, the last "no such cell"; a column a named type, the last
        "missed".
    """
    return _count(
        judged, judged.cell_labels, judged.labels, num_classes, score_thr
    )


def attribute_confusion(
    judged: MatchedResults,
    index: int,
    num_values: int,
    score_thr: float,
    same_type: bool = False,
) -> np.ndarray:
    """Count which value was named for cells of each value.

    Cells whose value nobody stated are left out, and with them the
    detections they are paired with. The end-to-end macro-F1 of
    :class:`LLDMetric` is that of this table.

    Args:
        judged (MatchedResults): The detections and cells.
        index (int): Which attribute.
        num_values (int): Number of its values.
        score_thr (float): Score from which a detection exists.
        same_type (bool): Whether only detections and cells of one type are
            paired. Defaults to False.

    Returns:
        np.ndarray: int64, shape (num_values + 1, num_values + 1), rows and
        columns as in :func:`type_confusion`.
    """
    return _count(
        judged,
        judged.cell_codes[:, index],
        judged.codes[:, index],
        num_values,
        score_thr,
        judged.type_matches if same_type else None,
    )


def _count(
    judged: MatchedResults,
    truth: np.ndarray,
    named: np.ndarray,
    size: int,
    score_thr: float,
    matches: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Count pairs, missed cells and detections without a cell."""
    matches = judged.matches if matches is None else matches
    exists = judged.scores >= score_thr
    paired = exists & (matches >= 0)
    answers = np.full(len(truth), size, dtype=np.int64)
    answers[matches[paired]] = named[paired]
    known = truth != MISSING
    invented = named[exists & (matches < 0) & ~judged.in_unknown_area]
    rows = np.concatenate([truth[known], np.full(len(invented), size)])
    columns = np.concatenate([answers[known], invented])
    if not len(rows):
        return np.zeros((size + 1, size + 1), dtype=np.int64)
    return confusion_matrix(rows, columns, labels=np.arange(size + 1))


def table_macro_f1(counts: np.ndarray) -> float:
    """Macro-F1 of a table of counts.

    Of a table from :func:`attribute_confusion` it is
    :func:`end_to_end_macro_f1`.

    Args:
        counts (np.ndarray): Shape (k + 1, k + 1), the last row "no such
            cell", the last column "missed".

    Returns:
        float: Mean of the F1 over the rows that have cells; NaN if none has.
    """
    cells, named = counts.sum(axis=1)[:-1], counts.sum(axis=0)[:-1]
    occurs = cells > 0
    f1 = 2 * np.diag(counts)[:-1][occurs] / (cells + named)[occurs]
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
