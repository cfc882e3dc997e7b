# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch
from mmdet.models.task_modules import AssignResult, MaxIoUAssigner
from mmengine.structures import InstanceData

from mmleuk.registry import TASK_UTILS
from mmleuk.structures import (
    CANDIDATE,
    UNANNOTATED,
    covered_share,
    highest_iof,
    highest_probability,
    ignored_boxes,
)


@TASK_UTILS.register_module()
class RegionMaxIoUAssigner(MaxIoUAssigner):
    """MaxIoUAssigner that takes as background only what is known to be.

    Positives are assigned exactly as by MMDetection without ignored
    instances: by IoU with a labelled box, wherever it lies. Of the priors that
    MMDetection then takes as background (0), two kinds become neither
    positive nor negative (-1), with or without ground truth in the image:

    - priors on an ignored cell: IoF above ``ignore_iof_thr``;
    - priors on un-annotated area: coverage below ``bg_coverage_thr``.
      Coverage is the share of the prior's area outside the *union* of the
      image's un-annotated rectangles.

    Without ignored instances the result is that of ``MaxIoUAssigner``. Area
    outside of the image counts as annotated: an anchor whose centre lies in
    the image has at least a quarter of its area inside, so nothing is missed
    while ``bg_coverage_thr`` exceeds 0.75.

    With ignored instances the result has two extra properties, for samplers
    that draw negatives from the un-annotated area:

    - ``is_unannotated``, bool, shape (n, ): priors of the second kind that
      are not of the first;
    - ``presence_probability``, shape (n, ): the probability that such a prior
      is a cell, by the ``probs`` of the ignored instances (see
      :mod:`mmleuk.structures.ignored_instances`); 1 without these, and
      meaningless for other priors.

    No value is copied to the host beyond what ``MaxIoUAssigner`` copies, and
    overlaps with ignored instances are computed a few at a time, so that their
    number does not show in the memory. ``iou_calculator`` is for labelled
    boxes alone.

    Args:
        *args: Arguments of ``MaxIoUAssigner``.
        ignore_iof_thr (float): Greatest overlap of a background prior with an
            ignored cell, as a share of the prior's area (of the cell's area
            with ``ignore_wrt_candidates=False``). Negative: ignored cells are
            background, as in MMDetection.
        bg_coverage_thr (float): Smallest coverage of a background prior, in
            [0, 1]. 0: un-annotated area is background.
        candidate_iou_thr (float): IoU from which a prior gets the presence
            probability of a candidate.
        **kwargs: Arguments of ``MaxIoUAssigner``.

    Raises:
        ValueError: If ``bg_coverage_thr`` is not in [0, 1].
    """

    knows_regions = True

    def __init__(
        self,
        *args,
        ignore_iof_thr: float = 0.5,
        bg_coverage_thr: float = 0.9,
        candidate_iou_thr: float = 0.3,
        **kwargs,
    ) -> None:
        super().__init__(*args, ignore_iof_thr=ignore_iof_thr, **kwargs)
        if not 0 <= bg_coverage_thr <= 1:
            raise ValueError(
                f'got bg_coverage_thr={bg_coverage_thr}, '
                'expected a share in [0, 1]'
            )
        self.bg_coverage_thr = bg_coverage_thr
        self.candidate_iou_thr = candidate_iou_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: Optional[InstanceData] = None,
        **kwargs,
    ) -> AssignResult:
        """Assign labelled boxes, background or neither to priors.

        Args:
            pred_instances (:obj:`InstanceData`): ``priors`` (n, 4) in pixels.
            gt_instances (:obj:`InstanceData`): ``bboxes`` (k, 4) and
                ``labels`` (k, ).
            gt_instances_ignore (:obj:`InstanceData`, optional): ``bboxes``
                (m, 4), ``labels`` (m, ) and, with mining, ``probs`` (m, )
                of ignored cells, un-annotated rectangles and candidates.
            **kwargs: Passed on.

        Returns:
            :obj:`AssignResult`: ``gt_inds`` (n, ): index of the labelled box
            + 1, 0 for background, -1 for neither.
        """
        assign_result = super().assign(
            pred_instances, gt_instances, None, **kwargs
        )
        boxes, labels = ignored_boxes(gt_instances_ignore)
        if boxes.numel() == 0:
            return assign_result
        priors = pred_instances.priors
        background = assign_result.gt_inds == 0
        on_cell = torch.zeros_like(background)
        if self.ignore_iof_thr > 0:
            on_cell = self.ignore_iof_thr < highest_iof(
                priors, boxes, labels >= 0, not self.ignore_wrt_candidates
            )
        # The margin is for rounding: a prior that only touches the area passes
        # a threshold of 1.
        unannotated = (
            covered_share(priors, boxes, labels == UNANNOTATED)
            > 1 - self.bg_coverage_thr + 1e-5
        )
        assign_result.gt_inds = torch.where(
            background & (on_cell | unannotated), -1, assign_result.gt_inds
        )

        assign_result.set_extra_property(
            'is_unannotated', background & unannotated & ~on_cell
        )
        presence = torch.ones_like(priors[:, 0])
        if 'probs' in gt_instances_ignore:
            probs = gt_instances_ignore.probs.to(presence)
            unseen = (probs * (labels == UNANNOTATED)).amax()
            presence = highest_probability(
                priors,
                boxes,
                probs * (labels == CANDIDATE),
                self.candidate_iou_thr,
            ).clamp(min=unseen)
        assign_result.set_extra_property('presence_probability', presence)
        return assign_result
