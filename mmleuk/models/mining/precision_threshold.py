# Copyright (c) mmleuk authors. All rights reserved.
import torch
from torch import Tensor


def precision_threshold(
    probabilities: Tensor, precision: float, min_probability: float = 0.0
) -> float:
    """Find the threshold above which detections reach a precision together.

    The expected precision of a set is the mean of its probabilities.
    Requiring the precision of every single detection would discard ones that
    the average can still absorb.

    Args:
        probabilities (Tensor): Probability of each detection to be right,
            shape (n, ).
        precision (float): Lowest mean probability of the chosen detections.
        min_probability (float): Lowest probability of any of them.

    Returns:
        float: The lowest threshold that fulfils both, or the greater of both
        limits if none does.
    """
    ordered = probabilities.double().sort(descending=True).values
    means = ordered.cumsum(0) / torch.arange(1, len(ordered) + 1)
    # Equal probabilities are chosen together or not at all.
    is_last = torch.ones_like(ordered, dtype=torch.bool)
    is_last[:-1] = ordered[1:] < ordered[:-1]
    enough = is_last & (means >= precision) & (ordered >= min_probability)
    if not enough.any():
        return max(precision, min_probability)
    return float(ordered[enough][-1])
