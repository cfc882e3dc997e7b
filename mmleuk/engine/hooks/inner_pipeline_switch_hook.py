# Copyright (c) mmleuk authors. All rights reserved.
from mmdet.engine.hooks import PipelineSwitchHook
from mmengine.dataset import Compose
from mmengine.runner import Runner

from mmleuk.engine.dataset_wrappers import unwrap_dataset
from mmleuk.engine.epochs import require_epochs
from mmleuk.registry import HOOKS


@HOOKS.register_module()
class InnerPipelineSwitchHook(PipelineSwitchHook):
    """Change the pipeline of the training data before an epoch.

    :class:`PipelineSwitchHook` sets the pipeline of the outermost dataset.
    A wrapper such as ``RepeatDataset``, ``ClassBalancedDataset`` or
    ``ConcatDataset`` never reads it, so that nothing changes. This one sets
    that of each dataset inside of the wrappers. Each gets transforms of its
    own, so that those with a cache mix the images of one dataset only, as
    before. Persistent workers are restarted.

    A run that is resumed after the switch continues with the new pipeline. Of
    several hooks that are due at once the last one wins: list them in the
    order of their epochs.

    Args:
        switch_epoch (int): First epoch with the new pipeline, from 0.
        switch_pipeline (list[dict]): The new pipeline.

    Raises:
        ValueError: At the start of a training that does not count epochs.
    """

    _has_switched: bool

    def before_train(self, runner: Runner) -> None:
        """Raise an error if the epoch would never come."""
        require_epochs(runner, f'{type(self).__name__}.switch_epoch')

    def before_train_epoch(self, runner: Runner) -> None:
        """Change the pipeline once its epoch has come."""
        if self._has_switched or runner.epoch < self.switch_epoch:
            return
        loader = runner.train_dataloader
        datasets = list(unwrap_dataset(loader.dataset))
        for dataset in datasets:
            dataset.pipeline = Compose(self.switch_pipeline)
        # PyTorch has no public way to end persistent workers, which have a
        # copy of the old pipeline: they end with the iterator that holds them.
        if loader.persistent_workers:
            loader._iterator = None
        self._has_switched = True
        runner.logger.info(
            f'From epoch {runner.epoch + 1} on {len(datasets)} dataset(s) '
            f'have the pipeline of epoch {self.switch_epoch + 1}'
        )
