# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Sequence

import torch
from torch import Tensor


def attribute_fields(probs: Tensor, sizes: Sequence[int]) -> Dict[str, Tensor]:
    """Name what follows from the probabilities of all attribute values.

    Args:
        probs (Tensor): Probabilities, those of one attribute beside those of
            the next, shape (n, sum of values).
        sizes (Sequence[int]): Number of values of each attribute.

    Returns:
        dict[str, Tensor]: The fields of ``pred_instances``:
        ``attribute_labels`` (n, num_attributes) int64, the likeliest code of
        each attribute; ``attribute_scores`` (n, num_attributes), its
        probability; ``attribute_probs``, as given.
    """
    best = [branch.max(dim=1) for branch in probs.split(tuple(sizes), dim=1)]
    return dict(
        attribute_labels=torch.stack([b.indices for b in best], dim=1),
        attribute_scores=torch.stack([b.values for b in best], dim=1),
        attribute_probs=probs,
    )
