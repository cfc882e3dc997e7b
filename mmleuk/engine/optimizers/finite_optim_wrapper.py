# Copyright (c) mmleuk authors. All rights reserved.
import math
from typing import Optional

import torch
from mmengine.optim import OptimWrapper

from mmleuk.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class FiniteOptimWrapper(OptimWrapper):
    """An optimizer that takes no step along a gradient with NaN or inf.

    One such step spoils all weights. It is left out, and the next batch goes
    on from the weights as they were; :class:`LossGuardHook` says which images
    it was and ends the training. In a distributed run gradients are averaged
    before, so that every process leaves out the same step. In mixed precision
    the gradient scaler of ``AmpOptimWrapper`` does the same.

    With ``clip_grad`` by norm, the norm that is logged tells: nothing more is
    computed or copied to the host.

    Args:
        *args: Arguments of ``OptimWrapper``.
        **kwargs: Likewise.

    Attributes:
        num_skipped (int): Steps left out so far.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.num_skipped = 0
        self._norm: Optional[float] = None

    def _clip_grad(self) -> None:
        """Clip gradients, and keep the norm that the parent logs."""
        super()._clip_grad()
        # Clipping by value gives no norm.
        if self.clip_func is torch.nn.utils.clip_grad_norm_:
            logged = self.message_hub.get_scalar(f'train/{self.grad_name}')
            self._norm = logged.current()

    def _gradient_norm(self) -> float:
        """Sum up all gradients to one number, which no NaN or inf survives."""
        norms = [
            parameter.grad.norm()
            for group in self.optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        return float(torch.stack(norms).sum()) if norms else 0.0

    def step(self, **kwargs) -> None:
        """Clip gradients and update parameters, unless that spoils them.

        Args:
            **kwargs: Arguments of ``Optimizer.step``.
        """
        self._norm = None
        if self.clip_grad_kwargs:
            self._clip_grad()
        norm = self._gradient_norm() if self._norm is None else self._norm
        if math.isfinite(norm):
            self.optimizer.step(**kwargs)
        else:
            self.num_skipped += 1
