# Copyright (c) mmleuk authors. All rights reserved.
from mmdet.datasets.samplers import (
    GroupMultiSourceSampler,
    MultiSourceSampler,
)
from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop, Runner

_ENDLESS_SAMPLERS = (
    InfiniteSampler,
    MultiSourceSampler,
    GroupMultiSourceSampler,
)


def require_epochs(runner: Runner, setting: str) -> None:
    """Raise an error if the training has no epochs.

    In a loop that counts iterations, or with a sampler that never ends, the
    first epoch lasts for the whole training.

    Args:
        runner (Runner): The runner, before training.
        setting (str): The setting that counts in epochs, for the message.

    Raises:
        ValueError: If the first epoch never ends.
    """
    loop = runner.train_loop
    sampler = runner.train_dataloader.batch_sampler.sampler
    for part, is_endless in (
        (loop, isinstance(loop, IterBasedTrainLoop)),
        # Subclasses may end.
        (sampler, type(sampler) in _ENDLESS_SAMPLERS),
    ):
        if is_endless:
            raise ValueError(
                f'{setting} counts epochs, but the training has none: its '
                f'{type(part).__name__} never ends one. Set train_cfg=dict('
                "type='EpochBasedTrainLoop', max_epochs=...) and "
                "train_dataloader.sampler=dict(type='DefaultSampler', "
                'shuffle=True)'
            )
