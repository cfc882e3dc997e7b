# Copyright (c) mmleuk authors. All rights reserved.
import logging
from collections import deque
from typing import Any, Deque, List, Optional

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmleuk.registry import HOOKS


@HOOKS.register_module()
class LossGuardHook(Hook):
    """End a training whose loss or gradient is NaN or inf, by name.

    Without it a training goes on with spoiled weights, or mmdet's
    ``CheckInvalidLossHook`` ends it some batches later without a word on the
    images.

    Together with :class:`FiniteOptimWrapper` or mixed precision, which leave
    such a step out, some batches may be skipped: each is logged with its
    images. With another optimizer wrapper the weights are spoiled already, and
    the first one ends the training.

    Args:
        max_skipped (int): Batches that may be skipped in the whole training.
            Defaults to 0.
    """

    # After the optimizer, before anything is logged or saved.
    priority = 'VERY_HIGH'

    def __init__(self, max_skipped: int = 0) -> None:
        if max_skipped < 0:
            raise ValueError(
                f'got max_skipped={max_skipped}, expected 0 or more'
            )
        self.max_skipped = max_skipped
        self.num_skipped = 0
        self._left_out = 0
        self._names: Deque[List[str]] = deque(maxlen=1)

    def before_train(self, runner: Runner) -> None:
        """Prepare for batches whose gradients are added up.

        Args:
            runner (:obj:`Runner`): The runner.
        """
        wrapper = runner.optim_wrapper
        count = getattr(wrapper, '_accumulative_counts', 1)
        self._names = deque(maxlen=count)
        self._left_out = getattr(wrapper, 'num_skipped', 0)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[Any] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Look at the losses and at the step.

        Args:
            runner (:obj:`Runner`): The runner.
            batch_idx (int): Number of the batch.
            data_batch (dict, optional): The batch.
            outputs (dict, optional): Its losses.

        Raises:
            FloatingPointError: If more batches than may be are not finite.
        """
        self._names.append(image_names(data_batch))
        bad = _not_finite(outputs or {})
        wrapper = runner.optim_wrapper
        left_out = getattr(wrapper, 'num_skipped', 0) - self._left_out
        self._left_out += left_out
        leaves_out = hasattr(wrapper, 'num_skipped')
        # Where gradients of several batches add up, the step is yet to come.
        is_adding_up = leaves_out and not left_out and self._names.maxlen > 1
        if is_adding_up or not (bad or left_out):
            return
        self.num_skipped += 1
        names = ', '.join(name for batch in self._names for name in batch)
        what = ', '.join(bad) or 'the gradient'
        message = (
            f'Iteration {runner.iter}: {what} is not finite. Images of the '
            f'batch: {names}.'
        )
        if not leaves_out and not hasattr(wrapper, 'loss_scaler'):
            raise FloatingPointError(
                f'{message} The weights are spoiled: go on from the last '
                "checkpoint, with optim_wrapper.type='mmleuk."
                "FiniteOptimWrapper', which leaves such steps out"
            )
        if self.num_skipped > self.max_skipped:
            raise FloatingPointError(
                f'{message} {self.num_skipped} batches were left out, '
                f'{self.max_skipped} may be '
                '(default_hooks.loss_guard.max_skipped). The weights are as '
                'they were before. Look at these images and their labels, or '
                'lower the learning rate'
            )
        runner.logger.log(logging.WARNING, f'{message} It is left out.')


def image_names(data_batch: Any) -> List[str]:
    """List the images of a batch, of any form.

    Args:
        data_batch (Any): A batch of mmdet, or of its semi-supervised methods,
            where branches are nested.

    Returns:
        list[str]: Their paths, each once, in order.
    """
    if isinstance(data_batch, dict):
        parts = [image_names(part) for part in data_batch.values()]
    elif isinstance(data_batch, (list, tuple)):
        parts = [image_names(part) for part in data_batch]
    else:
        name = getattr(data_batch, 'metainfo', {}).get('img_path')
        return [] if name is None else [str(name)]
    return list(dict.fromkeys(name for part in parts for name in part))


def _not_finite(outputs: dict) -> List[str]:
    """Name the losses that are NaN or inf."""
    values = {
        key: torch.as_tensor(value, dtype=torch.float32).detach()
        for key, value in outputs.items()
        if 'loss' in key
    }
    if not values:
        return []
    device = next(iter(values.values())).device
    finite = torch.stack(
        [value.to(device).isfinite().all() for value in values.values()]
    )
    # The one copy to the host.
    return [key for key, good in zip(values, finite.tolist()) if not good]
