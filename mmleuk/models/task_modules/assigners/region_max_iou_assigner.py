# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch
from mmdet.models.task_modules import AssignResult, MaxIoUAssigner
from mmengine.structures import InstanceData

from mmleuk.registry import TASK_UTILS
from mmleuk.structures import covered_share, split_ignored


@TASK_UTILS.register_module()
class RegionMaxIoUAssigner(MaxIoUAssigner):
    """MaxIoUAssigner that takes as background only what is known to be.

    Positives are assigned exactly as MMDetection does without any ignored
    instance: by IoU with a labelled box, wherever it lies. Of the priors that
    MMDetection then takes as background (0), two kinds become neither
    positive nor negative (-1), with or without ground truth in the image:

    - priors on an ignored cell: IoF above ``ignore_iof_thr``;
    - priors on un-annotated area: coverage below ``bg_coverage_thr``.
      Coverage is the share of the prior's area that is not inside the *union*
      of the image's un-annotated rectangles. It is taken for all priors at
      once, on their device.

    Without ignored instances the result is that of ``MaxIoUAssigner``. What
    lies outside of the image counts as annotated: an anchor whose centre lies
    in the image has a quarter of its area or more inside, so nothing there is
    missed while ``bg_coverage_thr`` exceeds 0.75.

    Args:
        *args: Arguments of ``MaxIoUAssigner``.
        ignore_iof_thr (float): Greatest overlap of a background prior with an
            ignored cell, as a share of the prior's area (of the cell's area
            with ``ignore_wrt_candidates=False``). Negative: ignored cells are
            background, as in MMDetection. Defaults to 0.5.
        bg_coverage_thr (float): Least coverage of a background prior, in
            [0, 1]. 0: un-annotated area is background. Defaults to 0.9.
        **kwargs: Arguments of ``MaxIoUAssigner``.

    Raises:
        ValueError: If ``bg_coverage_thr`` is not in [0, 1].
    """

    def __init__(
        self,
        *args,
        ignore_iof_thr: float = 0.5,
        bg_coverage_thr: float = 0.9,
        **kwargs,
    ) -> None:
        super().__init__(*args, ignore_iof_thr=ignore_iof_thr, **kwargs)
        if not 0 <= bg_coverage_thr <= 1:
            raise ValueError(
                f'got bg_coverage_thr={bg_coverage_thr}, '
                'expected a share in [0, 1]'
            )
        self.bg_coverage_thr = bg_coverage_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: Optional[InstanceData] = None,
        **kwargs,
    ) -> AssignResult:
        """Assign labelled boxes, background or neither to priors.

        Args:
            pred_instances (:obj:`InstanceData`): ``priors`` of shape (n, 4),
                (x1, y1, x2, y2) in pixels.
            gt_instances (:obj:`InstanceData`): ``bboxes`` of shape (k, 4) and
                ``labels`` of shape (k, ).
            gt_instances_ignore (:obj:`InstanceData`, optional): Ignored cells
                and un-annotated rectangles, ``bboxes`` of shape (m, 4) and
                ``labels`` of shape (m, ). Without labels all are cells.
            **kwargs: Passed on.

        Returns:
            :obj:`AssignResult`: ``gt_inds`` of shape (n, ): index of the
            labelled box + 1, 0 for background, -1 for neither.
        """
        assign_result = super().assign(
            pred_instances, gt_instances, None, **kwargs
        )
        priors = pred_instances.priors
        cells, unannotated = split_ignored(gt_instances_ignore)
        unknown = torch.zeros_like(assign_result.gt_inds, dtype=torch.bool)
        if self.ignore_iof_thr > 0 and cells.numel() > 0:
            if self.ignore_wrt_candidates:
                overlaps = self.iou_calculator(priors, cells, mode='iof')
            else:
                overlaps = self.iou_calculator(cells, priors, mode='iof').T
            unknown |= overlaps.max(dim=1).values > self.ignore_iof_thr
        if unannotated.numel() > 0:
            # The margin is for rounding: a prior that just touches the area
            # must pass a threshold of 1.
            unknown |= (
                covered_share(priors, unannotated)
                > 1 - self.bg_coverage_thr + 1e-5
            )
        assign_result.gt_inds[unknown & (assign_result.gt_inds == 0)] = -1
        return assign_result
