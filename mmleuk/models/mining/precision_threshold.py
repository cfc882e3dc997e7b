# Copyright (c) mmleuk authors. All rights reserved.
import torch
from torch import Tensor


def precision_threshold(
    chances: Tensor, precision: float, min_chance: float = 0.0
) -> float:
    """Find from which chance on detections are right often enough together.

    The chances of a set are its expected precision: their mean. Asking each
    detection for as much leaves out what the set could bear.

    Args:
        chances (Tensor): Chance of each detection to be right, shape (n, ).
        precision (float): Least mean chance of the detections taken.
        min_chance (float): Least chance of any of them. Defaults to 0.

    Returns:
        float: The lowest threshold with which those at or above it have that
        mean, or else the greater of both limits, which no chance reaches.
    """
    ordered = chances.double().sort(descending=True).values
    means = ordered.cumsum(0) / torch.arange(1, len(ordered) + 1)
    # Equal chances are taken together or not at all.
    is_last = torch.ones_like(ordered, dtype=torch.bool)
    is_last[:-1] = ordered[1:] < ordered[:-1]
    enough = is_last & (means >= precision) & (ordered >= min_chance)
    if not enough.any():
        return max(precision, min_chance)
    return float(ordered[enough][-1])
