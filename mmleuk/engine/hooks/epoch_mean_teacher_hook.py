# Copyright (c) mmleuk authors. All rights reserved.
from mmdet.engine.hooks import MeanTeacherHook
from mmengine.runner import Runner

from mmleuk.engine.epochs import require_epochs
from mmleuk.registry import HOOKS


@HOOKS.register_module()
class EpochMeanTeacherHook(MeanTeacherHook):
    """Mean teacher whose moving average is as long as a part of an epoch.

    MMDetection's hook has a constant momentum, which averages over
    1 / momentum steps. How much of the training that is depends on the number
    of images and of processes. Here the momentum is 1 / (``horizon`` x steps
    of an epoch), known when the training starts. A resumed run computes it
    again and so averages over as many epochs on another number of processes.

    Args:
        horizon (float): Epochs that the teacher averages over.
        skip_buffer (bool): See ``MeanTeacherHook``. False also averages the
            statistics of batch norm.

    Raises:
        ValueError: If ``horizon`` is not positive, or the training does not
            count epochs.
    """

    def __init__(self, horizon: float, skip_buffer: bool = False) -> None:
        if not horizon > 0:
            raise ValueError(
                f'got horizon={horizon}, expected a number of epochs above 0'
            )
        super().__init__(skip_buffer=skip_buffer)
        self.horizon = horizon

    def before_train(self, runner: Runner) -> None:
        """Set the momentum, and start the teacher from the student."""
        require_epochs(runner, f'{type(self).__name__}.horizon')
        epoch_steps = len(runner.train_dataloader)
        steps = self.horizon * epoch_steps
        self.momentum = 1 / max(steps, 1)
        runner.logger.info(
            f'Mean teacher: momentum {self.momentum:.4g}, for '
            f'{self.horizon:.4g} epochs of {epoch_steps} steps'
        )
        super().before_train(runner)
