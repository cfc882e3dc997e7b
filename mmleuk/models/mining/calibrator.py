# Copyright (c) mmleuk authors. All rights reserved.
import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmleuk.registry import MODELS


@MODELS.register_module()
class ScoreCalibrator(BaseModule):
    """Calibrate scores on few detections whose truth is known.

    The probability that a detection of score ``s`` and group ``g`` (its
    class, or the attribute) is right is modelled as

        logit P = intercept + offset[g] + slope * logit(s),

    a beta calibration with tied slopes (Kull et al., 2017, AISTATS, section
    4). Gaussian priors hold the slope at 1 and the intercept at 0, so that
    scores count as probabilities until detections tell otherwise, and the
    offsets of rare groups at the common curve. The posterior is approximated
    at its mode (Laplace), which also gives each probability a lower bound.

    Detections are kept as counts in bins of ``logit(s)``, so that any number
    of them costs the same memory.

    Args:
        num_groups (int): Number of groups.
        intercept_std (float): Standard deviation of the prior of the common
            intercept.
        offset_std (float): That of the offset of each group: the smaller, the
            more they are pooled.
        slope_std (float): That of the slope.
        num_bins (int): Number of bins.
    """

    # Scores beyond sigmoid(8) = 0.9997 count as equal.
    max_logit = 8.0

    def __init__(
        self,
        num_groups: int,
        intercept_std: float = 1.0,
        offset_std: float = 0.5,
        slope_std: float = 0.5,
        num_bins: int = 64,
    ) -> None:
        super().__init__()
        self.num_groups = num_groups
        stds = [intercept_std, slope_std] + [offset_std] * num_groups
        precision = torch.tensor(stds, dtype=torch.float64) ** -2
        prior = torch.zeros(2 + num_groups, dtype=torch.float64)
        prior[1] = 1
        self.register_buffer('prior_mean', prior, persistent=False)
        self.register_buffer('prior_precision', precision, persistent=False)
        # Wrong and right detections of each group and bin.
        self.register_buffer(
            'counts', torch.zeros(num_groups, num_bins, 2, dtype=torch.float64)
        )
        # Intercept, slope, offsets.
        self.register_buffer('mean', prior.clone())
        self.register_buffer('covariance', torch.diag(1 / precision))

    def _logits(self, scores: Tensor) -> Tensor:
        """Log-odds of scores, clamped."""
        scores = scores.to(self.mean)
        logits = torch.logit(scores, eps=1e-6)
        return logits.clamp(-self.max_logit, self.max_logit)

    def start_pass(self) -> None:
        """Forget the detections of earlier passes."""
        self.counts.zero_()

    def observe(
        self, scores: Tensor, groups: Tensor, is_right: Tensor
    ) -> None:
        """Count detections whose truth is known.

        Args:
            scores (Tensor): Scores in [0, 1], shape (n, ).
            groups (Tensor): Group of each, int64, shape (n, ).
            is_right (Tensor): Whether it is right, bool, shape (n, ).
        """
        num_bins = self.counts.size(1)
        position = (self._logits(scores) / self.max_logit + 1) / 2
        bins = (position * num_bins).long().clamp(max=num_bins - 1)
        self.counts.index_put_(
            (groups.to(bins), bins, is_right.to(bins)),
            torch.ones_like(position),
            accumulate=True,
        )

    def fit(self) -> None:
        """Find the mode of the posterior by Newton's method."""
        groups, bins = self.counts.sum(dim=2).nonzero(as_tuple=True)
        wrong, right = self.counts[groups, bins].unbind(dim=1)
        centers = (bins + 0.5) / self.counts.size(1) * 2 - 1
        x = self._features(centers.double() * self.max_logit, groups)

        def energy(mean: Tensor) -> Tensor:
            eta = x @ mean
            misfit = right * torch.nn.functional.softplus(-eta)
            misfit = misfit + wrong * torch.nn.functional.softplus(eta)
            away = (mean - self.prior_mean) ** 2 * self.prior_precision
            return misfit.sum() + away.sum() / 2

        mean = self.prior_mean.clone()
        for _ in range(100):
            prob = torch.sigmoid(x @ mean)
            gradient = x.T @ ((right + wrong) * prob - right)
            gradient += (mean - self.prior_mean) * self.prior_precision
            weight = (right + wrong) * prob * (1 - prob)
            hessian = (x * weight[:, None]).T @ x
            hessian += torch.diag(self.prior_precision)
            step = torch.linalg.solve(hessian, gradient)
            # The energy is convex, so that a shorter step always helps.
            scale = 1.0
            while energy(mean - scale * step) > energy(mean) and scale > 1e-6:
                scale /= 2
            mean = mean - scale * step
            if step.abs().max() < 1e-9:
                break
        # A teacher that scores wrong detections higher than right ones is
        # useless, but its order is never reversed.
        mean[1] = mean[1].clamp(min=0)
        self.mean.copy_(mean)
        self.covariance.copy_(torch.linalg.inv(hessian))

    def _features(self, logits: Tensor, groups: Tensor) -> Tensor:
        """Rows of the linear model, shape (n, 2 + num_groups)."""
        one_hot = torch.nn.functional.one_hot(groups, self.num_groups)
        ones = torch.ones_like(logits)
        return torch.cat(
            [torch.stack([ones, logits], dim=1), one_hot.to(logits)], dim=1
        )

    def probabilities(
        self, scores: Tensor, groups: Tensor, num_stds: float = 0.0
    ) -> Tensor:
        """Compute the probabilities that detections are right.

        Args:
            scores (Tensor): Scores in [0, 1], shape (n, ).
            groups (Tensor): Group of each, int64, shape (n, ).
            num_stds (float): Standard deviations of the posterior (of the
                logit) to stay below the mode: 0 gives the mode, 1.64 a lower
                bound of 95 %.

        Returns:
            Tensor: Probabilities, shape (n, ), float32, on the device of the
            scores.
        """
        x = self._features(self._logits(scores), groups.to(self.mean.device))
        logits = x @ self.mean
        if num_stds != 0:
            variance = ((x @ self.covariance) * x).sum(dim=1)
            logits = logits - num_stds * variance.clamp(min=0).sqrt()
        return torch.sigmoid(logits).to(scores.device, torch.float32)
