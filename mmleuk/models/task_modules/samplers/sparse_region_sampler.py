# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Optional, Tuple

import torch
from mmdet.models.task_modules import AssignResult, RandomSampler
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures.bbox import bbox2roi, bbox_overlaps, get_box_tensor
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.models.utils import training_progress
from mmleuk.registry import TASK_UTILS

from .drawn_background import draw_background

# Keeps a division by no votes finite, and a mined cell below probability 1.
EPS = 1e-6


@TASK_UTILS.register_module()
class SparseRegionSampler(RandomSampler):
    """Sample priors of a field that is annotated in part.

    :class:`RegionMaxIoUAssigner` leaves the priors on un-annotated area
    neither positive nor negative and gives each a presence probability. Of
    these the sampler takes

    - **background**: a prior of at most ``max_presence_probability`` becomes
      a negative with the probability that it is no cell. In expectation this
      weights its loss by that probability, in every head that samples.
      Without mining the presence probability is 1, and nothing un-annotated
      becomes a negative;
    - **cells**: mined ground truth, whose field ``probs`` is below 1, comes
      as positives of the assigner. With ``self_mining`` the sampler finds
      more itself, by the scores that the head gives the proposals now.

    Self-mining runs the box head on the proposals without gradient, as
    ``OHEMSampler`` does, and needs the same context: a RoI head of
    MMDetection, plain or cascade. Un-annotated proposals of a score of
    ``score_thr`` or more become cells of that class, with one box for each,
    the mean of theirs weighted by score. The presence probability of the
    others is the largest class score around them.

    Where all of an image is annotated, the result is that of
    ``RandomSampler`` with the same seed. Nothing is copied to the host beyond
    what ``RandomSampler`` copies, except the counts once in ``log_interval``
    calls.

    Args:
        *args: Arguments of ``RandomSampler``.
        max_presence_probability (float): Greatest presence probability of an
            un-annotated prior that may become background.
        max_unannotated_neg_fraction (float): Greatest share of un-annotated
            priors among the negatives, if there are enough annotated ones.
        balance_classes (bool): Where there are more positives than places,
            whether each class gets the same number of places (in
            expectation).
        warmup (float): Share of the training before any un-annotated prior is
            sampled, positives by ``self_mining`` included.
        self_mining (dict, optional): Settings of the self-mining:
            ``score_thr`` (float, default 0.9), ``iou_thr`` (float, default
            0.5, from which two boxes are one cell) and ``max_per_img`` (int,
            default 64), how many un-annotated proposals of an image the box
            head scores, by objectness. None: no self-mining.
        context (nn.Module, optional): The head that samples. MMDetection's
            heads pass themselves.
        name (str, optional): Prefix of the logged counts, 'rcnn' for RoI
            heads and 'rpn' for others by default.
        log_interval (int): Calls between two reports of the counts into the
            runner's log, 0 for none.
        **kwargs: Arguments of ``RandomSampler``.
    """

    def __init__(
        self,
        *args,
        max_presence_probability: float = 0.2,
        max_unannotated_neg_fraction: float = 0.8,
        balance_classes: bool = False,
        warmup: float = 0.0,
        self_mining: Optional[dict] = None,
        context: Optional[torch.nn.Module] = None,
        name: Optional[str] = None,
        log_interval: int = 200,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        for key, value in (
            ('max_presence_probability', max_presence_probability),
            ('max_unannotated_neg_fraction', max_unannotated_neg_fraction),
            ('warmup', warmup),
        ):
            if not 0 <= value <= 1:
                raise ValueError(
                    f'got {key}={value}, expected a number in [0, 1]'
                )
        self.max_presence_probability = max_presence_probability
        self.max_unannotated_neg_fraction = max_unannotated_neg_fraction
        self.balance_classes = balance_classes
        self.warmup = warmup
        self.context = context
        is_roi_head = hasattr(context, 'bbox_roi_extractor')
        self.self_mining = None
        if self_mining is not None:
            if not is_roi_head:
                raise TypeError(
                    f'self_mining got the context {type(context).__name__}, '
                    'expected a RoI head of MMDetection: only it scores '
                    'classes. Leave self_mining out of the sampler of the RPN'
                )
            self.self_mining = dict(
                dict(score_thr=0.9, iou_thr=0.5, max_per_img=64), **self_mining
            )
        self.name = name or ('rcnn' if is_roi_head else 'rpn')
        self.log_interval = log_interval
        self._counts: Dict[str, Tensor] = {}
        self._num_calls = 0

    def sample(
        self,
        assign_result: AssignResult,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        **kwargs,
    ) -> SamplingResult:
        """Sample positives and negatives of one image.

        Args:
            assign_result (:obj:`AssignResult`): Result of the assigner.
            pred_instances (:obj:`InstanceData`): ``priors`` (n, 4).
            gt_instances (:obj:`InstanceData`): ``bboxes`` (k, 4), ``labels``
                (k, ) and, with mining, ``probs`` (k, ).
            **kwargs: ``feats`` (list[Tensor]), the features of the image,
                which self-mining needs.

        Returns:
            :obj:`SamplingResult`: The sampled priors. Self-mined cells stand
            behind the labelled ones in its ground truth. Where the image is
            annotated in part, ``pos_probs`` (p, ) is the probability that
            the label of each positive is right, 1 if a person labelled it.
        """
        presence = assign_result.get_extra_property('presence_probability')
        if presence is None:
            return super().sample(
                assign_result, pred_instances, gt_instances, **kwargs
            )
        probs = gt_instances.get('probs')
        if probs is None:
            probs = presence.new_ones(assign_result.num_gts)
        if training_progress() >= self.warmup:
            if self.self_mining is not None and len(presence) > 0:
                assign_result, gt_instances, presence, mined_scores = (
                    self._mine(
                        assign_result,
                        pred_instances,
                        gt_instances,
                        presence,
                        kwargs['feats'],
                    )
                )
                probs = torch.cat([probs, mined_scores])
            draw_background(
                assign_result, presence, self.max_presence_probability
            )
        result = super().sample(
            assign_result, pred_instances, gt_instances, **kwargs
        )
        result.pos_probs = probs[result.pos_assigned_gt_inds]
        if self.log_interval > 0:
            self._count(assign_result, result, probs)
        return result

    def _mine(
        self,
        assign_result: AssignResult,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        presence: Tensor,
        feats: list,
    ) -> Tuple[AssignResult, InstanceData, Tensor, Tensor]:
        """Find cells on un-annotated area by the scores of the box head.

        Returns the assign result, the ground truth with the candidates behind
        it, the presence probability of each prior, and the score of each
        candidate.
        """
        # The number of boxes is fixed, so that the host need not wait: boxes
        # that are no cells stay in the list, and no prior gets them.
        cfg = self.self_mining
        priors = get_box_tensor(pred_instances.priors)
        open_priors = assign_result.get_extra_property('is_unannotated')
        # The best proposals are the cells, and what looks like them.
        picked = torch.arange(len(priors), device=priors.device)
        if 'scores' in pred_instances:
            objectness = torch.where(open_priors, pred_instances.scores, -1.0)
            num_picked = min(cfg['max_per_img'], len(priors))
            picked = objectness.topk(num_picked).indices
        scores, labels, boxes = self._detect(priors[picked], feats)
        probs = presence.clone()
        probs[picked] = scores.to(probs)
        top_scores, top = (scores * open_priors[picked]).sort(descending=True)
        boxes, labels = boxes[top], labels[top]

        # One box per cell without a loop: no better box may overlap it (as in
        # YOLACT, section 5). It becomes the mean of all that overlap it,
        # weighted by score: one proposal's box alone would pass its error on.
        is_near = bbox_overlaps(boxes, boxes) >= cfg['iou_thr']
        is_first = is_near.triu(diagonal=1).sum(dim=0) == 0
        votes = is_near * top_scores
        votes = votes / votes.sum(dim=1, keepdim=True).clamp(min=EPS)
        boxes = votes @ boxes
        truth = get_box_tensor(gt_instances.bboxes).to(boxes)
        is_new = (bbox_overlaps(boxes, truth) >= cfg['iou_thr']).sum(1) == 0
        is_cell = is_first & is_new & (top_scores >= cfg['score_thr'])

        overlaps = bbox_overlaps(priors, boxes) * is_cell
        best, best_box = overlaps.max(dim=1)
        is_positive = open_priors & (best >= cfg['iou_thr'])
        num_gts = assign_result.num_gts
        mined_result = _MinedAssignResult(
            num_gts + len(boxes),
            torch.where(
                is_positive, num_gts + best_box + 1, assign_result.gt_inds
            ),
            torch.where(is_positive, best, assign_result.max_overlaps),
            torch.where(is_positive, labels[best_box], assign_result.labels),
        )
        mined_result.set_extra_property('is_unannotated', open_priors)
        mined_result.is_real = torch.cat([is_cell.new_ones(num_gts), is_cell])
        extended = InstanceData(
            bboxes=torch.cat([truth, boxes]),
            labels=torch.cat([gt_instances.labels, labels]),
        )
        # A prior may be background only if neither it nor a candidate that it
        # touches looks like a cell.
        around = (bbox_overlaps(priors, boxes) >= 0.3) * top_scores
        probs = torch.maximum(probs, around.amax(dim=1))
        presence = torch.where(open_priors, probs, presence)
        # A probability of 1 is for labelled cells.
        mined_scores = (top_scores * is_cell).clamp(max=1 - EPS)
        return mined_result, extended, presence, mined_scores

    @torch.no_grad()
    def _detect(
        self, priors: Tensor, feats: list
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Best scores (n, ), their classes and boxes (n, 4) of priors."""
        rois = bbox2roi([priors])
        stage = getattr(self.context, 'current_stage', None)
        if stage is None:
            head = self.context.bbox_head
            outputs = self.context._bbox_forward(feats, rois)
        else:
            head = self.context.bbox_head[stage]
            outputs = self.context._bbox_forward(stage, feats, rois)
        logits = outputs['cls_score'].float()
        if head.custom_cls_channels:
            probs = head.loss_cls.get_activation(logits)[:, :-1]
        else:
            probs = logits.softmax(dim=-1)[:, :-1]
        scores, labels = probs.max(dim=1)
        deltas = outputs['bbox_pred'].float()
        if not head.reg_class_agnostic:
            deltas = deltas.view(len(priors), -1, 4)
            deltas = deltas[
                torch.arange(len(labels), device=labels.device), labels
            ]
        boxes = get_box_tensor(head.bbox_coder.decode(priors, deltas))
        return scores, labels, boxes

    def _sample_pos(
        self, assign_result: AssignResult, num_expected: int, **kwargs
    ) -> Tensor:
        """Sample positives, with ``balance_classes`` as many of each class."""
        if not self.balance_classes:
            return super()._sample_pos(assign_result, num_expected, **kwargs)
        (pos_inds,) = torch.nonzero(assign_result.gt_inds > 0, as_tuple=True)
        if len(pos_inds) <= num_expected:
            return pos_inds
        labels = assign_result.labels[pos_inds]
        frequency = (labels[:, None] == labels).sum(dim=1)
        chosen = torch.multinomial(1.0 / frequency, num_expected)
        return pos_inds[chosen]

    def _sample_neg(
        self, assign_result: AssignResult, num_expected: int, **kwargs
    ) -> Tensor:
        """Sample negatives, un-annotated ones beyond their share last."""
        drawn = assign_result.get_extra_property('drawn_background')
        if drawn is None:
            return super()._sample_neg(assign_result, num_expected, **kwargs)
        (neg_inds,) = torch.nonzero(assign_result.gt_inds == 0, as_tuple=True)
        # Ground truth that was added as proposals stands in front.
        added = len(assign_result.gt_inds) - len(drawn)
        is_drawn = drawn[(neg_inds - added).clamp(min=0)]
        # Ranks in random order, each kind for itself.
        noise = torch.rand(len(neg_inds), device=neg_inds.device)
        order = (noise + is_drawn).argsort()
        num_annotated = (~is_drawn).sum()
        rank = torch.arange(len(neg_inds), device=neg_inds.device)
        places = int(num_expected * self.max_unannotated_neg_fraction)
        in_excess = rank >= num_annotated + places
        # Both kinds compete for the places by their noise alone; what exceeds
        # the share of the un-annotated comes last.
        keys = noise[order] + 2 * in_excess
        size = min(num_expected, len(neg_inds))
        chosen = order[keys.topk(size, largest=False).indices]
        return neg_inds[chosen]

    def _count(
        self,
        assign_result: AssignResult,
        result: SamplingResult,
        probs: Tensor,
    ) -> None:
        """Add up what was sampled, and log it every ``log_interval`` calls."""
        mined = probs[result.pos_assigned_gt_inds] < 1
        counts = dict(
            positives_labelled=(~mined).sum(),
            positives_mined=mined.sum(),
            ignored=(assign_result.gt_inds == -1).sum(),
            cells_mined=((probs < 1) & (probs > 0)).sum(),
            mined_score=torch.where(probs < 1, probs, 0.0).sum(),
        )
        drawn = assign_result.get_extra_property('drawn_background')
        if drawn is not None:
            added = len(assign_result.gt_inds) - len(drawn)
            inds = (result.neg_inds - added).clamp(min=0)
            counts['negatives_unannotated'] = drawn[inds].sum()
        counts['negatives'] = torch.as_tensor(len(result.neg_inds))
        for key, value in counts.items():
            self._counts[key] = self._counts.get(key, 0) + value
        self._num_calls += 1
        if self._num_calls < self.log_interval:
            return
        totals = {key: float(value) for key, value in self._counts.items()}
        cells = totals['cells_mined']
        totals['mined_score'] *= self._num_calls / max(cells, 1.0)
        hub = MessageHub.get_current_instance()
        for key, value in totals.items():
            hub.update_scalar(
                f'train/{self.name}_{key}', value / self._num_calls
            )
        self._counts, self._num_calls = {}, 0


class _MinedAssignResult(AssignResult):
    """An assign result in which some of the ground truth is not real.

    Boxes that are not real, by ``is_real``, bool, shape (num_gts, ), are no
    positives when ground truth joins the priors.
    """

    is_real: Tensor

    def add_gt_(self, gt_labels: Tensor) -> None:
        """Add the ground truth to the priors, the real boxes as positives."""
        super().add_gt_(gt_labels)
        num_gts = len(gt_labels)
        self.gt_inds[:num_gts] = torch.where(
            self.is_real, self.gt_inds[:num_gts], -1
        )
