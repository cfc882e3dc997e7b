# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence

from mmengine.config import Config

# Arguments of the training loop and of MMEngine's parameter schedulers that
# are times. The loop counts in epochs or in iterations, by the key that states
# its length; a scheduler in epochs unless `by_epoch=False`.
LENGTHS = dict(max_epochs='epochs', max_iters='iterations')
LOOP_TIMES = ('val_begin', 'val_interval')
TIMES = ('begin', 'end', 'T_max', 'milestones', 'step_size', 'total_steps')


def scale_schedule(
    cfg: Config,
    factor: float,
    units: Sequence[str] = ('epochs', 'iterations'),
) -> None:
    """Stretch or shrink a schedule, in place.

    The length of the training, the interval of validation and every parameter
    scheduler, warm-up included, are multiplied by ``factor`` and rounded.

    Args:
        cfg (Config): With ``train_cfg`` and, if there are any,
            ``param_scheduler`` (a dict or a list of dicts).
        factor (float): The factor, above 0.
        units (Sequence[str]): Units of the times to scale: ``'epochs'``,
            ``'iterations'`` or both. If an epoch gets another number of
            iterations, scale epochs only.

    Raises:
        ValueError: If the factor is not positive, no epoch or iteration is
            left, or the loop states no length.
    """
    if not factor > 0:
        raise ValueError(f'the factor is {factor}, expected a number above 0')
    loop = cfg.train_cfg
    lengths = [key for key in LENGTHS if key in loop]
    if not lengths:
        raise ValueError(
            f'train_cfg is {dict(loop)}, expected one of {list(LENGTHS)} in it'
        )
    for key in lengths:
        if LENGTHS[key] not in units:
            continue
        length = round(loop[key] * factor)
        if length < 1:
            raise ValueError(
                f'{factor:.3g} times the {loop[key]} of train_cfg.{key} is '
                'none, expected at least 1: take a larger share or a longer '
                'schedule'
            )
        loop[key] = length
        _scale_times(loop, LOOP_TIMES, factor)
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    for scheduler in schedulers:
        unit = 'epochs' if scheduler.get('by_epoch', True) else 'iterations'
        if unit in units:
            _scale_times(scheduler, TIMES, factor)


def _scale_times(settings: dict, keys: Sequence[str], factor: float) -> None:
    """Scale some settings, each a time or a list of times, in place."""
    for key in keys:
        if key in settings:
            settings[key] = _scale(settings[key], factor)


def _scale(time, factor: float):
    """Scale a time or a list of times; 0 stays, others are at least 1."""
    if isinstance(time, (list, tuple)):
        return [_scale(item, factor) for item in time]
    return max(1, round(time * factor)) if time else time
