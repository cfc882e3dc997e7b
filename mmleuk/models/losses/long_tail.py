# Copyright (c) mmleuk authors. All rights reserved.
"""Changes of a loss for values that few training cells have."""

from typing import Tuple

from torch import Tensor, nn

from mmleuk.registry import MODELS


@MODELS.register_module()
class LogitAdjustment(nn.Module):
    r"""Add the logarithm of the frequency of each value to its logit.

    In the loss alone, so that frequent values have to earn a margin and the
    plain logits favour none: `Long-tail learning via logit adjustment
    <https://arxiv.org/abs/2007.07314>`_, equation 10.

    Args:
        tau (float): Factor of the logarithm; 1 is consistent for the balanced
            error, 0 changes nothing.

    Raises:
        ValueError: If ``tau`` is negative.
    """

    def __init__(self, tau: float = 1.0) -> None:
        super().__init__()
        if tau < 0:
            raise ValueError(f'got tau={tau}, expected 0 or more')
        self.tau = tau

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor, counts: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Change the logits.

        Args:
            logits (Tensor): Logits of one attribute, shape (n, k).
            target (Tensor): True values, int64, shape (n, ).
            weight (Tensor): Weights of the rows, shape (n, ).
            counts (Tensor): Training cells with each value, shape (k, ). A
                value without cells counts as one.

        Returns:
            tuple[Tensor]: Logits and weights for the loss, same shapes.
        """
        counts = counts.type_as(logits).clamp(min=1)
        return logits + self.tau * (counts / counts.sum()).log(), weight


@MODELS.register_module()
class ClassBalancedWeights(nn.Module):
    r"""Weigh cells by the effective number of those with the same value.

    The weight of a value with :math:`n` cells is :math:`(1 - \beta) / (1 -
    \beta^n)`, scaled so that the weights of an attribute have the mean 1:
    `Class-Balanced Loss Based on Effective Number of Samples
    <https://arxiv.org/abs/1901.05555>`_, equation 4.

    Args:
        beta (float): 0 weighs all values the same; near 1 the weight is the
            inverse frequency.

    Raises:
        ValueError: If ``beta`` isn't in [0, 1).
    """

    def __init__(self, beta: float = 0.999) -> None:
        super().__init__()
        if not 0 <= beta < 1:
            raise ValueError(f'got beta={beta}, expected a number in [0, 1)')
        self.beta = beta

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor, counts: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Change the weights, see :meth:`LogitAdjustment.forward`."""
        # In double precision: beta**n is near 1.
        counts = counts.double().clamp(min=1)
        balance = (1 - self.beta) / (1 - self.beta**counts)
        balance = balance / balance.mean()
        return logits, weight * balance.type_as(weight)[target]
