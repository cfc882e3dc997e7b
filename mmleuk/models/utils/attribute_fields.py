# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Sequence

import torch
from torch import Tensor


def attribute_fields(probs: Tensor, sizes: Sequence[int]) -> Dict[str, Tensor]:
    """Make the fields of ``pred_instances`` from attribute probabilities.

    Args:
        probs (Tensor): Probabilities of all values, attribute after attribute,
            shape (n, sum of values).
        sizes (Sequence[int]): Number of values of each attribute.

    Returns:
        dict[str, Tensor]: ``attribute_labels`` (n, num_attributes) int64, the
        most probable code of each attribute; ``attribute_scores``
        (n, num_attributes), its probability; ``attribute_probs``, as given.
    """
    best = [branch.max(dim=1) for branch in probs.split(tuple(sizes), dim=1)]
    return dict(
        attribute_labels=torch.stack([b.indices for b in best], dim=1),
        attribute_scores=torch.stack([b.values for b in best], dim=1),
        attribute_probs=probs,
    )
