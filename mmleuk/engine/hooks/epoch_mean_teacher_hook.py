# Copyright (c) mmleuk authors. All rights reserved.
from mmdet.engine.hooks import MeanTeacherHook
from mmengine.runner import EpochBasedTrainLoop, Runner

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
        ValueError: If ``horizon`` is not positive, or the training is counted
            in iterations.
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
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            raise ValueError(
                f'horizon={self.horizon} counts epochs, but the train_cfg has '
                f'a {type(loop).__name__}, which counts iterations: take an '
                'EpochBasedTrainLoop, or the MeanTeacherHook of MMDetection'
            )
        steps = self.horizon * len(loop.dataloader)
        self.momentum = 1 / max(steps, 1)
        runner.logger.info(
            f'Mean teacher: momentum {self.momentum:.4g}, for '
            f'{self.horizon:.4g} epochs of {len(loop.dataloader)} steps'
        )
        super().before_train(runner)
