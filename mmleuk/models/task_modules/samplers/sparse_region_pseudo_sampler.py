# Copyright (c) mmleuk authors. All rights reserved.
from mmdet.models.task_modules import AssignResult, PseudoSampler
from mmdet.models.task_modules.samplers import SamplingResult

from mmleuk.registry import TASK_UTILS

from .drawn_background import draw_background


@TASK_UTILS.register_module()
class SparseRegionPseudoSampler(PseudoSampler):
    """Take all priors of a field that is annotated in part.

    The counterpart of :class:`SparseRegionSampler` for heads that learn from
    every prior, such as those with a focal loss: an un-annotated prior
    becomes background with the probability that it is no cell, and is left
    out otherwise. Mined cells come as ground truth.

    Where all of an image is annotated, the result is that of
    ``PseudoSampler``.

    Args:
        max_presence_probability (float): Greatest presence probability of an
            un-annotated prior that may become background.
        **kwargs: Unused, as by ``PseudoSampler``.
    """

    def __init__(
        self, max_presence_probability: float = 0.2, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= max_presence_probability <= 1:
            raise ValueError(
                f'got max_presence_probability={max_presence_probability}, '
                'expected a number in [0, 1]'
            )
        self.max_presence_probability = max_presence_probability

    def sample(
        self,
        assign_result: AssignResult,
        *args,
        **kwargs,
    ) -> SamplingResult:
        """Draw background, then list all positives and negatives."""
        presence = assign_result.get_extra_property('presence_probability')
        if presence is not None:
            draw_background(
                assign_result, presence, self.max_presence_probability
            )
        return super().sample(assign_result, *args, **kwargs)
