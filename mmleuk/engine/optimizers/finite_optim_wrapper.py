# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Optional

import torch
from mmengine.optim import OptimWrapper

from mmleuk.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class FiniteOptimWrapper(OptimWrapper):
    """An optimizer wrapper that skips steps with NaN or inf in the gradient.

    One such step makes all weights invalid. :class:`LossGuardHook` logs the
    images of a skipped step or stops the training. In a distributed run
    gradients are averaged before, so all processes skip the same step. In
    mixed precision the gradient scaler of ``AmpOptimWrapper`` does the same.

    With ``clip_grad`` by norm, the logged norm is used: nothing more is
    computed or copied to the host.

    Attributes:
        num_skipped (int): Steps skipped so far.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.num_skipped = 0
        self._norm: Optional[float] = None

    def _clip_grad(self) -> None:
        """Clip gradients, and keep their norm before."""
        is_by_norm = self.clip_func is torch.nn.utils.clip_grad_norm_
        if not is_by_norm:
            # Clipping by value gives no norm, and makes inf finite.
            self._norm = self._gradient_norm()
        super()._clip_grad()
        if is_by_norm:
            logged = self.message_hub.get_scalar(f'train/{self.grad_name}')
            self._norm = logged.current()

    def _gradient_norm(self) -> float:
        """Sum the norms of all gradients; NaN or inf if any has one."""
        norms = [
            parameter.grad.norm()
            for group in self.optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        return float(torch.stack(norms).sum()) if norms else 0.0

    def step(self, **kwargs) -> None:
        """Clip gradients and update parameters, if all are finite."""
        self._norm = None
        if self.clip_grad_kwargs:
            self._clip_grad()
        norm = self._gradient_norm() if self._norm is None else self._norm
        if math.isfinite(norm):
            self.optimizer.step(**kwargs)
        else:
            self.num_skipped += 1
