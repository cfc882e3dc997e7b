# Copyright (c) mmleuk authors. All rights reserved.
import torch.nn.functional as F
from torch import Tensor, nn

from mmleuk.registry import MODELS


@MODELS.register_module()
class CosineTripletLoss(nn.Module):
    r"""Triplet loss of cosine similarities, with the hardest references.

    The positive of an anchor is the least similar reference of its class, the
    negative the most similar one of another class (batch-hard, `In
    Defense of the Triplet Loss <https://arxiv.org/abs/1703.07737>`_):

    .. math::
        \max(0, \cos(a, n) - \cos(a, p) + \mathrm{margin})

    The loss is the mean over the anchors that have both, zero if none has.

    Args:
        margin (float): Least difference of the similarities.
        loss_weight (float): Factor of the loss.
    """

    def __init__(self, margin: float = 0.05, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.margin = margin
        self.loss_weight = loss_weight

    def forward(
        self,
        anchors: Tensor,
        anchor_labels: Tensor,
        references: Tensor,
        reference_labels: Tensor,
    ) -> Tensor:
        """Compute the loss.

        Args:
            anchors (Tensor): Features, shape (n, C).
            anchor_labels (Tensor): Class of each anchor, int64, shape (n, ).
            references (Tensor): Features, shape (m, C).
            reference_labels (Tensor): Class of each reference, int64, shape
                (m, ).

        Returns:
            Tensor: The loss, a scalar, at least float32.
        """
        similarity = (
            F.normalize(anchors.float(), dim=1)
            @ F.normalize(references.float(), dim=1).T
        )
        if similarity.numel() == 0:
            return similarity.sum()
        same = anchor_labels[:, None] == reference_labels[None]
        # The fills lie outside of [-1, 1], so that they never win.
        positive = similarity.masked_fill(~same, 2).amin(dim=1)
        negative = similarity.masked_fill(same, -2).amax(dim=1)
        has_both = same.any(dim=1) & ~same.all(dim=1)
        loss = F.relu(negative - positive + self.margin) * has_both
        return self.loss_weight * loss.sum() / has_both.sum().clamp(min=1)
