# Copyright (c) mmleuk authors. All rights reserved.
import torch
from mmdet.models.task_modules import AssignResult
from torch import Tensor


def draw_background(
    assign_result: AssignResult, hidden: Tensor, max_hidden_chance: float
) -> None:
    """Draw the un-annotated priors that count as background, in place.

    A prior becomes background with the probability that it hides no cell.
    Drawing it that often is weighting its loss by that much, in expectation.

    Args:
        assign_result (:obj:`AssignResult`): With the extra property
            ``is_unannotated``. ``gt_inds`` is set to 0 for the priors that
            are drawn, and the extra property ``vouched``, bool, shape (n, ),
            says which these are.
        hidden (Tensor): Chance of each prior to hide a cell, shape (n, ).
        max_hidden_chance (float): Greatest such chance of a background prior.
    """
    vouched = (
        (assign_result.gt_inds == -1)
        & assign_result.get_extra_property('is_unannotated')
        & (hidden <= max_hidden_chance)
        & (torch.rand_like(hidden) >= hidden)
    )
    assign_result.gt_inds = torch.where(vouched, 0, assign_result.gt_inds)
    assign_result.set_extra_property('vouched', vouched)
