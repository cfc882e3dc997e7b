# Copyright (c) mmleuk authors. All rights reserved.
import logging
from collections import deque
from typing import Any, Deque, List, Optional, Tuple

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmleuk.registry import HOOKS


@HOOKS.register_module()
class LossGuardHook(Hook):
    """Stop a training whose loss or gradient is NaN or inf.

    The error names the images of the batch. mmdet's ``CheckInvalidLossHook``
    stops some batches later and names none.

    :class:`FiniteOptimWrapper` and mixed precision skip such a step: then
    ``max_skipped`` batches are logged with their images before one stops the
    training. With another optimizer wrapper the weights are invalid already,
    and the first batch stops the training.

    The gradient scaler of mixed precision also skips a step when its scale is
    too large for float16, and lowers the scale. While the losses are finite
    and the lowered scale is 1 or more, such a step is logged, but not
    counted. A constant ``loss_scale`` is never lowered: each skipped step is
    counted.

    In a distributed run, all processes skip the same steps, since gradients
    are averaged. The images are those of the processes whose losses are not
    finite, or of all if only the gradient is not.

    Args:
        max_skipped (int): Batches that may be skipped in the whole training.
    """

    # After the optimizer step, before hooks that log or save.
    priority = 'VERY_HIGH'

    def __init__(self, max_skipped: int = 0) -> None:
        if max_skipped < 0:
            raise ValueError(
                f'got max_skipped={max_skipped}, expected 0 or more'
            )
        self.max_skipped = max_skipped
        self.num_skipped = 0
        self._has_stepped = False
        self._scale = 0.0
        self._names: Deque[List[str]] = deque(maxlen=1)
        self._is_bad: Deque[bool] = deque(maxlen=1)

    def before_train(self, runner: Runner) -> None:
        """Prepare for accumulated gradients, and watch the optimizer."""
        wrapper = runner.optim_wrapper
        count = getattr(wrapper, '_accumulative_counts', 1)
        self._names = deque(maxlen=count)
        self._is_bad = deque(maxlen=count)
        if _can_skip(wrapper):
            wrapper.optimizer.register_step_post_hook(self._note_step)
            self._scale = _scale(wrapper)

    def _note_step(self, *args) -> None:
        """Note that the optimizer has done a step."""
        self._has_stepped = True

    def _was_skipped(self, wrapper: OptimWrapper) -> bool:
        """Whether the step of this iteration was due and skipped."""
        has_stepped, self._has_stepped = self._has_stepped, False
        # A fused optimizer is called even if the scaler finds NaN or inf.
        before, self._scale = self._scale, _scale(wrapper)
        return wrapper.should_update() and (
            not has_stepped or self._scale < before
        )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[Any] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Check the losses and the optimizer step."""
        self._names.append(image_names(data_batch))
        bad = _not_finite(outputs or {})
        self._is_bad.append(bool(bad))
        wrapper = runner.optim_wrapper
        can_skip = _can_skip(wrapper)
        was_skipped = can_skip and self._was_skipped(wrapper)
        # With accumulated gradients the step is yet to come.
        is_early = can_skip and not was_skipped and self._names.maxlen > 1
        if is_early or not (bad or was_skipped):
            return
        is_bad = any(self._is_bad)
        names = [name for batch in self._names for name in batch]
        if was_skipped:
            bad, names, is_bad = _join_processes(bad, names, is_bad)
        if self._scale >= 1 and was_skipped and not is_bad:
            runner.logger.info(
                f'Iteration {runner.iter}: the step is skipped, and the scale '
                f'of the loss lowered to {self._scale:g}.'
            )
            return
        self.num_skipped += 1
        what = ', '.join(bad) or 'the gradient'
        message = (
            f'Iteration {runner.iter}: {what} is not finite. Images of the '
            f'batch: {", ".join(names)}.'
        )
        if not can_skip:
            raise FloatingPointError(
                f'{message} The weights are invalid: resume from the last '
                "checkpoint, with optim_wrapper.type='mmleuk."
                "FiniteOptimWrapper', which skips such steps"
            )
        if self.num_skipped > self.max_skipped:
            raise FloatingPointError(
                f'{message} {self.num_skipped} batches were skipped, '
                f'expected at most {self.max_skipped} '
                '(default_hooks.loss_guard.max_skipped). The weights are as '
                'they were before. Check these images and their labels, or '
                'lower the learning rate'
            )
        runner.logger.log(logging.WARNING, f'{message} It is skipped.')


def image_names(data_batch: Any) -> List[str]:
    """List the images of a batch.

    Args:
        data_batch (Any): A batch of mmdet, also with nested branches, as in
            semi-supervised training.

    Returns:
        list[str]: Their paths without repetition, in order.
    """
    if isinstance(data_batch, dict):
        parts = [image_names(part) for part in data_batch.values()]
    elif isinstance(data_batch, (list, tuple)):
        parts = [image_names(part) for part in data_batch]
    else:
        name = getattr(data_batch, 'metainfo', {}).get('img_path')
        return [] if name is None else [str(name)]
    return list(dict.fromkeys(name for part in parts for name in part))


def _join_processes(
    bad: List[str], names: List[str], is_bad: bool
) -> Tuple[List[str], List[str], bool]:
    """Join what the processes know of a step that all of them skip.

    Args:
        bad (list[str]): Losses of the last batch that are not finite.
        names (list[str]): Images of all batches of the step.
        is_bad (bool): Whether a loss of any of these batches is not finite.

    Returns:
        tuple: The same of all processes, but only of those with such losses
        if there are any.
    """
    parts = all_gather_object((bad, names, is_bad))
    parts = [part for part in parts if part[2]] or parts
    return (
        list(dict.fromkeys(key for part in parts for key in part[0])),
        [name for part in parts for name in part[1]],
        parts[0][2],
    )


def _can_skip(wrapper: Any) -> bool:
    """Whether an optimizer wrapper skips steps that are not finite."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    return hasattr(wrapper, 'num_skipped') or (
        scaler is not None and scaler.is_enabled()
    )


def _scale(wrapper: OptimWrapper) -> float:
    """Scale of the loss if a scaler changes it, or else 0."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    is_constant = getattr(wrapper, '_scale_update_param', None) is not None
    return 0.0 if scaler is None or is_constant else scaler.get_scale()


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
    # One copy to the host for all losses.
    return [key for key, good in zip(values, finite.tolist()) if not good]
