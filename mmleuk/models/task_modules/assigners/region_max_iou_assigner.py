# Copyright (c) mmleuk authors. All rights reserved.
from mmleuk.registry import TASK_UTILS

from .region_assigner import RegionAssigner


@TASK_UTILS.register_module()
class RegionMaxIoUAssigner(RegionAssigner):
    """:class:`RegionAssigner` around ``MaxIoUAssigner``.

    A config that inherits a ``MaxIoUAssigner`` changes only its type.

    Args:
        ignore_iof_thr (float): See :class:`BackgroundRule`.
        bg_coverage_thr (float): See :class:`BackgroundRule`.
        ignore_wrt_candidates (bool): See :class:`BackgroundRule`.
        candidate_iou_thr (float): See :class:`BackgroundRule`.
        **kwargs: Arguments of ``MaxIoUAssigner``.
    """

    def __init__(
        self,
        *,
        ignore_iof_thr: float = 0.5,
        bg_coverage_thr: float = 0.9,
        ignore_wrt_candidates: bool = True,
        candidate_iou_thr: float = 0.3,
        **kwargs,
    ) -> None:
        super().__init__(
            dict(type='MaxIoUAssigner', **kwargs),
            ignore_iof_thr=ignore_iof_thr,
            bg_coverage_thr=bg_coverage_thr,
            ignore_wrt_candidates=ignore_wrt_candidates,
            candidate_iou_thr=candidate_iou_thr,
        )
