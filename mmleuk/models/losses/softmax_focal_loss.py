# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmleuk.registry import MODELS


@MODELS.register_module()
class SoftmaxFocalLoss(nn.Module):
    """Focal loss over values that exclude each other.

    Cross-entropy scaled by ``(1 - p) ** gamma``, where ``p`` is the softmax
    probability of the true value. Focal loss is defined in `Focal Loss for
    Dense Object Detection <https://arxiv.org/abs/1708.02002>`_, section 3.
    MMDetection's own is the sigmoid form over one-vs-rest targets.

    Args:
        gamma (float): Focusing exponent; 0 is plain cross-entropy.
        loss_weight (float): Factor of the loss.
    """

    def __init__(self, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.gamma = gamma
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
            logits (Tensor): Scores before the softmax, shape (n, k).
            target (Tensor): True value of each row in [0, k), int64, (n, ).
            weight (Tensor, optional): Weight of each row, shape (n, ).
            avg_factor (Tensor, optional): What the sum is divided by.
                Defaults to n.

        Returns:
            Tensor: The loss, a scalar.
        """
        log_prob = F.log_softmax(logits, dim=-1)
        log_prob = log_prob.gather(1, target[:, None]).squeeze(1)
        loss = -log_prob * (1 - log_prob.exp()) ** self.gamma
        return self.loss_weight * weight_reduce_loss(
            loss, weight, 'mean', avg_factor
        )

    @staticmethod
    def get_activation(logits: Tensor) -> Tensor:
        """Turn logits of shape (n, k) into probabilities of that shape."""
        return logits.softmax(dim=-1)
