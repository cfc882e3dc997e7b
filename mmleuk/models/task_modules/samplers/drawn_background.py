# Copyright (c) mmleuk authors. All rights reserved.
import torch
from mmdet.models.task_modules import AssignResult
from torch import Tensor


def draw_background(
    assign_result: AssignResult,
    presence: Tensor,
    max_presence_probability: float,
) -> None:
    """Draw un-annotated priors as background, in place.

    A prior becomes background with the probability that it is no cell. In
    expectation this weights its loss by that probability.

    Args:
        assign_result (:obj:`AssignResult`): With the extra property
            ``is_unannotated``. ``gt_inds`` of the drawn priors is set to 0,
            and the extra property ``drawn_background``, bool, shape (n, ),
            marks them.
        presence (Tensor): Presence probability of each prior, shape (n, ).
        max_presence_probability (float): Greatest one of a background prior.
    """
    is_drawn = (
        (assign_result.gt_inds == -1)
        & assign_result.get_extra_property('is_unannotated')
        & (presence <= max_presence_probability)
        & (torch.rand_like(presence) >= presence)
    )
    assign_result.gt_inds = torch.where(is_drawn, 0, assign_result.gt_inds)
    assign_result.set_extra_property('drawn_background', is_drawn)
