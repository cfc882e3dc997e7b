# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmleuk.registry import MODELS


@MODELS.register_module()
class AsymmetricLoss(nn.Module):
    """Asymmetric loss of one-vs-rest sigmoids.

    Every value of an attribute is a binary question. Easy negatives are
    down-weighted more than easy positives, and negatives of a probability
    below a margin don't count. From `Asymmetric Loss For Multi-Label
    Classification <https://arxiv.org/abs/2009.14119>`_, section 2; the
    defaults are those of AttriDet (MICCAI 2024).

    Args:
        gamma_neg (float): Focusing exponent of negatives.
        gamma_pos (float): Focusing exponent of positives.
        clip (float): Probability margin of negatives.
        loss_weight (float): Factor of the loss.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.08,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.loss_weight = loss_weight

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Optional[Tensor] = None,
        avg_factor: Optional[Tensor] = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits (Tensor): Scores before the sigmoid, shape (n, k).
            target (Tensor): True value of each row in [0, k), int64, (n, ).
            weight (Tensor, optional): Weight of each row, shape (n, ).
            avg_factor (Tensor, optional): Divisor of the sum, n if None.

        Returns:
            Tensor: The loss, a scalar.
        """
        eps = 1e-8
        positive = F.one_hot(target, logits.size(1)).to(logits.dtype)
        prob = logits.sigmoid()
        absent = (1 - prob + self.clip).clamp(max=1)
        loss_pos = (1 - prob) ** self.gamma_pos * prob.clamp(min=eps).log()
        loss_neg = (1 - absent) ** self.gamma_neg * absent.clamp(min=eps).log()
        loss = -(positive * loss_pos + (1 - positive) * loss_neg).sum(dim=1)
        return self.loss_weight * weight_reduce_loss(
            loss, weight, 'mean', avg_factor
        )

    @staticmethod
    def get_activation(logits: Tensor) -> Tensor:
        """Turn logits into probabilities that sum to one, both (n, k)."""
        prob = logits.sigmoid()
        return prob / prob.sum(dim=-1, keepdim=True).clamp(min=1e-8)
