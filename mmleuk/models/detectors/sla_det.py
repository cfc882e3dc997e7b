# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Tuple

import torch
from mmcv.ops import nms
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import bbox2roi, bbox_overlaps
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.models.task_modules import RegionMaxIoUAssigner
from mmleuk.models.utils import training_progress
from mmleuk.registry import MODELS
from mmleuk.structures import (
    MISSING,
    UNANNOTATED,
    center_in_regions,
    ignored_boxes,
)

# Sides of a rectangle that every anchor lies in, in pixels.
_EVERYWHERE = (-1e6, -1e6, 1e6, 1e6)


@MODELS.register_module()
class SLADet(TwoStageDetector):
    """The sparse-label training of SLA-Det for a two-stage detector.

    SLA-Det is the method that the authors of the Large Leukemia Dataset give
    for fields of which only a rectangle is annotated ("Leveraging Sparse
    Annotations for Leukemia Diagnosis on the Large Leukemia Dataset"). It has
    three losses:

    - *labelled region*: the detector's own losses without the un-annotated
      area, which :class:`RegionMaxIoUAssigner` takes out in the RPN and in
      the RoI head.
    - *pseudo-label*: the detections of the same forward pass with the highest
      scores are ground truth on un-annotated area. Only priors that they are
      assigned to count; nothing there is background.
    - *similarity*: the features of detections of middling scores are pulled to
      those of labelled cells of the same class in the batch, by a cosine
      triplet.

    The training has phases: first the labelled region alone; then all three
    losses; the similarity loss ends first, and at the very end the labelled
    region is alone again. Attributes learn from labelled cells only.

    Differences from the authors' code, a one-stage YOLOv5:

    - a score is the softmax probability of the RoI head for the best class,
      not objectness times class score. Detections are the RoI head's on all
      proposals of the RPN.
    - the pseudo-label loss has the terms of RPN and RoI head, each averaged
      over the sampled positives; YOLOv5 averages the objectness term over all
      grid cells.
    - pseudo-labels have their centre on un-annotated area, as labels have
      theirs in the annotated rectangle. The authors take any detection, in
      the rectangle too, that overlaps no labelled cell by 100 square pixels
      of a 640 pixel field. Here the overlap is a share of the detection's
      box, and detections in ignored cells are excluded, too.
    - the triplet loss has the sign that the paper describes; the authors'
      code subtracts the similarities the other way round. Positive and
      negative are, as in the code, the least similar labelled cell of the
      class and the most similar one of another.
    - the phases are one training with one learning-rate schedule. The authors
      train twice, first on crops with stronger augmentation. The shares of
      the phases are those of their 100 + 30 epochs.
    - the annotated rectangle follows every augmentation, and images without
      a label, or annotated as a whole, can be used; the authors' rectangle is
      only right without augmentation.

    Args:
        *args: Arguments of ``TwoStageDetector``.
        similarity_roi_extractor (dict): Config of the RoI extractor of the
            similarity loss; it reads the finest level of the neck.
        loss_similarity (dict): Config of the similarity loss.
        pseudo_weight (float): Factor of the pseudo-label loss.
        pseudo_score_thr (float): Score above which a detection is a
            pseudo-label.
        similarity_score_thr (float): Score above which another detection
            takes part in the similarity loss.
        nms_score_thr (float): Score above which a detection takes part in the
            class-agnostic NMS.
        nms_iou_thr (float): IoU of that NMS.
        max_overlap (float): Greatest overlap of a detection with a labelled
            or an ignored cell, as a share of the detection's area.
        min_area (float): Area in square pixels of the network's input above
            which a detection counts.
        pseudo_start (float): Share of the training after which detections are
            learned from. Progress is read from MMEngine's runner; without one
            it counts as 0.
        similarity_end (float): Share after which the similarity loss ends.
        pseudo_end (float): Share after which the labelled region is alone
            again.
        **kwargs: Arguments of ``TwoStageDetector``.

    Raises:
        ValueError: If the phases are out of order.
        TypeError: If an assigner takes un-annotated area as background.
    """

    def __init__(
        self,
        *args,
        similarity_roi_extractor: ConfigType,
        loss_similarity: ConfigType = dict(
            type='mmleuk.CosineTripletLoss', margin=0.05, loss_weight=0.1
        ),
        pseudo_weight: float = 0.1,
        pseudo_score_thr: float = 0.95,
        similarity_score_thr: float = 0.6,
        nms_score_thr: float = 0.5,
        nms_iou_thr: float = 0.2,
        max_overlap: float = 0.05,
        min_area: float = 10.0,
        pseudo_start: float = 100 / 130,
        similarity_end: float = 120 / 130,
        pseudo_end: float = 129 / 130,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= pseudo_start <= similarity_end <= pseudo_end <= 1:
            raise ValueError(
                f'got pseudo_start={pseudo_start}, '
                f'similarity_end={similarity_end} and '
                f'pseudo_end={pseudo_end}, expected ascending shares of the '
                'training in [0, 1]'
            )
        if self.train_cfg is not None:
            self._check_assigners()
        self.similarity_roi_extractor = MODELS.build(similarity_roi_extractor)
        self.loss_similarity = MODELS.build(loss_similarity)
        self.pseudo_weight = pseudo_weight
        self.pseudo_score_thr = pseudo_score_thr
        self.similarity_score_thr = similarity_score_thr
        self.nms_score_thr = nms_score_thr
        self.nms_iou_thr = nms_iou_thr
        self.max_overlap = max_overlap
        self.min_area = min_area
        self.pseudo_start = pseudo_start
        self.similarity_end = similarity_end
        self.pseudo_end = pseudo_end

    def _check_assigners(self) -> None:
        """Refuse assigners that take un-annotated area as background."""
        for name, assigner in (
            ('rpn', self.rpn_head.assigner),
            ('rcnn', self.roi_head.bbox_assigner),
        ):
            if not isinstance(assigner, RegionMaxIoUAssigner):
                raise TypeError(
                    f'got {type(assigner).__name__} as '
                    f'train_cfg.{name}.assigner, expected '
                    'RegionMaxIoUAssigner: SLADet takes un-annotated area out '
                    "of the losses by it. Set type='mmleuk."
                    "RegionMaxIoUAssigner'"
                )

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> Dict[str, Tensor]:
        """Compute the losses of the present phase of the training.

        Args:
            batch_inputs (Tensor): Images, shape (N, C, H, W).
            batch_data_samples (list[:obj:`DetDataSample`]): Their samples.

        Returns:
            dict[str, Tensor]: The losses of the detector; ``loss_pseudo`` and
            ``loss_similarity``, zeros outside of their phases; and
            ``num_pseudo``, the number of pseudo-labels in the batch.
        """
        x = self.extract_feat(batch_inputs)
        metas = [sample.metainfo for sample in batch_data_samples]
        rpn_outs = self.rpn_head(x)
        proposals = self.rpn_head.predict_by_feat(
            *rpn_outs,
            batch_img_metas=metas,
            cfg=self.train_cfg.get('rpn_proposal', self.test_cfg.rpn),
        )
        # First: in some versions of torch a pass without gradients puts
        # weights without them into the cache of autocast.
        losses = self._detector_loss(
            x, rpn_outs, proposals, batch_data_samples
        )

        zero = sum(level.mean() for level in x) * 0
        losses.update(
            loss_pseudo=zero, loss_similarity=zero, num_pseudo=zero.detach()
        )
        progress = training_progress()
        if not self.pseudo_start <= progress < self.pseudo_end:
            return losses

        detections = [
            self._select(results, sample)
            for results, sample in zip(
                self._detect(x, proposals, metas), batch_data_samples
            )
        ]
        pseudo = [d[d.scores > self.pseudo_score_thr] for d in detections]
        losses['num_pseudo'] = zero.detach() + sum(map(len, pseudo))
        # Also without pseudo-labels: another process may have some, and all
        # must average the counts of their attribute labels equally often.
        pseudo_losses = self._detector_loss(
            x,
            rpn_outs,
            proposals,
            [
                self._make_pseudo_sample(cells, sample)
                for cells, sample in zip(pseudo, batch_data_samples)
            ],
        )
        losses['loss_pseudo'] = (
            zero + self.pseudo_weight * self.parse_losses(pseudo_losses)[0]
        )
        if progress < self.similarity_end:
            unsure = [d[d.scores <= self.pseudo_score_thr] for d in detections]
            losses['loss_similarity'] = zero + self._similarity_loss(
                x, unsure, batch_data_samples
            )
        return losses

    def _detector_loss(
        self,
        x: Tuple[Tensor],
        rpn_outs: Tuple[List[Tensor]],
        proposals: InstanceList,
        batch_data_samples: SampleList,
    ) -> Dict[str, Tensor]:
        """Compute the losses of RPN and RoI head."""
        cells, ignored, metas = unpack_gt_instances(batch_data_samples)
        cells = [
            InstanceData(bboxes=c.bboxes, labels=torch.zeros_like(c.labels))
            for c in cells
        ]
        losses = self.rpn_head.loss_by_feat(*rpn_outs, cells, metas, ignored)
        # The RoI head renames the fields of what it gets.
        proposals = [InstanceData(bboxes=p.bboxes) for p in proposals]
        losses.update(self.roi_head.loss(x, proposals, batch_data_samples))
        return losses

    @torch.no_grad()
    def _detect(
        self, x: Tuple[Tensor], proposals: InstanceList, metas: List[dict]
    ) -> InstanceList:
        """Detect cells of each image, with class-agnostic NMS."""
        detections = []
        for raw in self.roi_head.predict_bbox(x, metas, proposals, None):
            scores, labels = raw.scores[:, :-1].float().max(dim=1)
            # One box for all classes, or one for each.
            boxes = raw.bboxes.float().unflatten(1, (-1, 4))
            columns = labels.clamp(max=boxes.size(1) - 1)
            rows = torch.arange(len(boxes), device=boxes.device)
            boxes = boxes[rows, columns]
            _, kept = nms(
                boxes,
                scores,
                self.nms_iou_thr,
                score_threshold=self.nms_score_thr,
            )
            detections.append(
                InstanceData(
                    bboxes=boxes[kept],
                    scores=scores[kept],
                    labels=labels[kept],
                )
            )
        return detections

    def _select(
        self, detections: InstanceData, data_sample: DetDataSample
    ) -> InstanceData:
        """Keep detections on un-annotated area that overlap no known cell."""
        boxes = detections.bboxes
        ignored, labels = ignored_boxes(data_sample.get('ignored_instances'))
        ignored, labels = ignored.to(boxes), labels.to(boxes.device)
        is_outside = center_in_regions(boxes, ignored[labels == UNANNOTATED])
        known = [
            data_sample.gt_instances.bboxes.to(boxes),
            ignored[labels >= 0],
        ]
        overlaps = bbox_overlaps(boxes, torch.cat(known), mode='iof')
        return detections[
            (detections.scores > self.similarity_score_thr)
            & ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) > self.min_area)
            & is_outside
            & ~(overlaps > self.max_overlap).any(dim=1)
        ]

    @staticmethod
    def _make_pseudo_sample(
        cells: InstanceData, data_sample: DetDataSample
    ) -> DetDataSample:
        """Make a sample of pseudo-labels, all else un-annotated."""
        pseudo_sample = DetDataSample(metainfo=data_sample.metainfo)
        pseudo_sample.gt_instances = InstanceData(
            bboxes=cells.bboxes, labels=cells.labels
        )
        attributes = data_sample.gt_instances.get('attributes')
        if attributes is not None:
            pseudo_sample.gt_instances.attributes = attributes.new_full(
                (len(cells), attributes.size(1)), MISSING
            )
        pseudo_sample.ignored_instances = InstanceData(
            bboxes=torch.tensor([_EVERYWHERE]).to(
                cells.bboxes, non_blocking=True
            ),
            labels=cells.labels.new_full((1,), UNANNOTATED),
        )
        return pseudo_sample

    def _similarity_loss(
        self,
        x: Tuple[Tensor],
        detections: InstanceList,
        batch_data_samples: SampleList,
    ) -> Tensor:
        """Pull the features of detections to those of their class."""
        labelled = [sample.gt_instances for sample in batch_data_samples]
        features_and_labels = []
        for cells in (detections, labelled):
            features = self.similarity_roi_extractor(
                x[:1], bbox2roi([c.bboxes for c in cells])
            )
            features_and_labels += [
                features.mean(dim=(2, 3)),
                torch.cat([c.labels for c in cells]),
            ]
        return self.loss_similarity(*features_and_labels)
