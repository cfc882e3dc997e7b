# Copyright (c) mmleuk authors. All rights reserved.
from typing import Optional

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.structures import (
    CANDIDATE,
    UNANNOTATED,
    covered_share,
    highest_iof,
    highest_probability,
    ignored_boxes,
)


class BackgroundRule:
    """Which priors may be background, in an image annotated in part.

    Two kinds of priors may not:

    - priors on an ignored cell: IoF above ``ignore_iof_thr``;
    - priors on un-annotated area: coverage below ``bg_coverage_thr``.
      Coverage is the share of the prior's area outside the *union* of the
      image's un-annotated rectangles.

    Area outside of the image counts as annotated: a prior whose centre lies
    in the image has at least a quarter of its area inside, so nothing is
    missed while ``bg_coverage_thr`` exceeds 0.75.

    Priors are boxes, or points of a grid with their strides. Of a point, the
    coverage is that of a square around it: as far as it reaches over
    un-annotated area, a cell may hide there whose box would hold the point.
    With the default threshold the point of a background prior is at least
    0.4 sides away from that area. On an ignored cell is a point inside of it.

    Nothing is copied to the host. Overlaps with ignored instances are computed
    a few at a time, so that their number does not show in the memory.

    Args:
        ignore_iof_thr (float): Greatest overlap of a background prior with an
            ignored cell, as a share of the prior's area (of the cell's area
            with ``ignore_wrt_candidates=False``). Negative: ignored cells are
            background, as in MMDetection.
        bg_coverage_thr (float): Smallest coverage of a background prior, in
            [0, 1]. 0: un-annotated area is background.
        ignore_wrt_candidates (bool): See ``ignore_iof_thr``.
        candidate_iou_thr (float): IoU from which a prior gets the presence
            probability of a candidate.
        point_size (float, optional): Side of the square around a point, in
            strides. None: priors are boxes.

    Raises:
        ValueError: If ``bg_coverage_thr`` is not in [0, 1], or ``point_size``
            is not positive or joined with ``ignore_wrt_candidates=False``.
    """

    def __init__(
        self,
        ignore_iof_thr: float = 0.5,
        bg_coverage_thr: float = 0.9,
        ignore_wrt_candidates: bool = True,
        candidate_iou_thr: float = 0.3,
        point_size: Optional[float] = None,
    ) -> None:
        if not 0 <= bg_coverage_thr <= 1:
            raise ValueError(
                f'got bg_coverage_thr={bg_coverage_thr}, '
                'expected a share in [0, 1]'
            )
        if point_size is not None and not (
            point_size > 0 and ignore_wrt_candidates
        ):
            raise ValueError(
                f'got point_size={point_size} and '
                f'ignore_wrt_candidates={ignore_wrt_candidates}, expected a '
                'positive number of strides and True: a point covers no share '
                'of a cell'
            )
        self.ignore_iof_thr = ignore_iof_thr
        self.bg_coverage_thr = bg_coverage_thr
        self.ignore_wrt_candidates = ignore_wrt_candidates
        self.candidate_iou_thr = candidate_iou_thr
        self.point_size = point_size

    def on_ignored_cell(
        self, priors: Tensor, ignored_instances: Optional[InstanceData]
    ) -> Tensor:
        """Find the priors on ignored cells.

        Args:
            priors (Tensor): Boxes (x1, y1, x2, y2) in pixels, shape (n, 4);
                with ``point_size`` points (x, y, stride x, stride y).
            ignored_instances (:obj:`InstanceData`, optional): ``bboxes``
                (m, 4) and ``labels`` (m, ).

        Returns:
            Tensor: bool, shape (n, ).
        """
        boxes, labels = ignored_boxes(ignored_instances)
        if self.ignore_iof_thr <= 0 or boxes.numel() == 0:
            return torch.zeros_like(priors[:, 0], dtype=torch.bool)
        return self.ignore_iof_thr < highest_iof(
            self._as_boxes(priors, pixels=1),
            boxes,
            labels >= 0,
            not self.ignore_wrt_candidates,
        )

    def on_unannotated_area(
        self, priors: Tensor, ignored_instances: Optional[InstanceData]
    ) -> Tensor:
        """Find the priors on un-annotated area, as :meth:`on_ignored_cell`."""
        boxes, labels = ignored_boxes(ignored_instances)
        if boxes.numel() == 0:
            return torch.zeros_like(priors[:, 0], dtype=torch.bool)
        # The margin is for rounding: a prior that only touches the area passes
        # a threshold of 1.
        return (
            covered_share(self._as_boxes(priors), boxes, labels == UNANNOTATED)
            > 1 - self.bg_coverage_thr + 1e-5
        )

    def no_background(
        self, priors: Tensor, ignored_instances: Optional[InstanceData]
    ) -> Tensor:
        """Find the priors of both kinds, as :meth:`on_ignored_cell`."""
        return self.on_ignored_cell(
            priors, ignored_instances
        ) | self.on_unannotated_area(priors, ignored_instances)

    def presence_probability(
        self, priors: Tensor, ignored_instances: InstanceData
    ) -> Tensor:
        """Probability that an un-annotated prior is a cell.

        Args:
            priors (Tensor): As of :meth:`on_ignored_cell`.
            ignored_instances (:obj:`InstanceData`): ``bboxes`` (m, 4),
                ``labels`` (m, ) and, with mining, ``probs`` (m, ) of the
                un-annotated rectangles and candidates.

        Returns:
            Tensor: Shape (n, ). 1 without ``probs``; meaningless for annotated
            priors.
        """
        presence = torch.ones_like(priors[:, 0])
        if 'probs' not in ignored_instances:
            return presence
        boxes, labels = ignored_boxes(ignored_instances)
        probs = ignored_instances.probs.to(presence)
        unseen = (probs * (labels == UNANNOTATED)).amax()
        return highest_probability(
            self._as_boxes(priors),
            boxes,
            probs * (labels == CANDIDATE),
            self.candidate_iou_thr,
        ).clamp(min=unseen)

    def _as_boxes(
        self, priors: Tensor, pixels: Optional[float] = None
    ) -> Tensor:
        """Boxes (n, 4) of the priors; points get a side in pixels if given."""
        if priors.size(1) != 4:
            raise ValueError(
                f'got priors of shape {tuple(priors.shape)}, expected (n, 4): '
                'boxes, or points with two strides. RegionAssigner does not '
                'serve an assigner of other priors'
            )
        if self.point_size is None:
            return priors
        # Pixels of large images are not exact at half precision.
        centers, strides = priors.float().split(2, dim=1)
        half = (strides * self.point_size if pixels is None else pixels) / 2
        return torch.cat([centers - half, centers + half], dim=1)
