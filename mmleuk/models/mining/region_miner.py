# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps, bbox_project, get_box_tensor
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from mmleuk.registry import MODELS
from mmleuk.structures import (
    CANDIDATE,
    LLD_ATTRIBUTES,
    MISSING,
    UNANNOTATED,
    AttributeSchema,
    center_in_regions,
    in_unknown_area,
    match_detections,
    one_box_per_cell,
    split_cells,
)

from .detection_bank import DetectionBank
from .precision_threshold import precision_threshold
from .type_balance import apply_offsets, balance_types


@MODELS.register_module()
class RegionMiner(BaseModule):
    """Mine cells, attributes and background on un-annotated area.

    The bank holds a teacher's detections of each field. On the annotated
    regions of held-out fields, whose labels the loss does not use, these are
    compared with the labels, and calibrators are fitted that turn scores into
    probabilities (docs/mining.md states the algorithm and its assumptions).
    Then, in any view of a field,

    - the most probable detections of each type become ground truth, as many
      as have a mean probability of ``target_precision``;
    - their attributes become part of it where the attribute's own probability
      is ``attribute_precision`` or more;
    - the other detections become candidates, and the rest of the un-annotated
      area background, each with its presence probability, by which
      :class:`SparseRegionSampler` draws negatives.

    Args:
        num_classes (int): Number of classes.
        attributes (Sequence[dict]): The schema, LLD's seven by default.
        hold_out (dict, optional): ``share`` and ``seed`` of the held-out
            fields, as those of ``HoldOutRegions`` in the training pipeline.
            None: scores count as probabilities, without calibration.
        calibrator (dict): Config of a :class:`ScoreCalibrator`.
        target_precision (float): Lowest mean probability of the mined cells
            of a type.
        min_probability (float): Lowest probability of any mined cell.
        type_std (float, optional): Standard deviation of the prior of the
            offsets by which :func:`balance_types` corrects the types. None:
            no correction.
        num_stds (float): Standard deviations of the calibration that the
            probability of a mined cell stays below its estimate.
        attribute_precision (float, optional): Lowest probability of a mined
            attribute; None mines none.
        mine_background (bool): Whether un-annotated area can become
            background.
        nms_iou_thr (float): IoU from which two detections are one cell,
            whatever their classes: more than neighbouring cells overlap, less
            than a cell and a box on a part of it.
        min_visible (float): Smallest visible share of a mined cell in a view;
            below, it is a candidate.
    """

    # Smallest IoU of a match, as in the metric.
    iou_thr = 0.5
    # IoU from which boxes of several classes are of one proposal.
    place_iou_thr = 0.7
    # Detections near the border of a region are not compared with its labels:
    # their centre is this share of the box's side inside.
    border = 0.1

    def __init__(
        self,
        num_classes: int,
        attributes: Sequence[dict] = LLD_ATTRIBUTES,
        hold_out: Optional[dict] = None,
        calibrator: dict = dict(type='mmleuk.ScoreCalibrator'),
        target_precision: float = 0.95,
        min_probability: float = 0.8,
        type_std: Optional[float] = 1.0,
        num_stds: float = 0.5,
        attribute_precision: Optional[float] = 0.9,
        mine_background: bool = True,
        nms_iou_thr: float = 0.3,
        min_visible: float = 0.5,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.schema = AttributeSchema(attributes)
        self.hold_out = hold_out
        self.target_precision = target_precision
        self.min_probability = min_probability
        self.type_std = type_std
        self.num_stds = num_stds
        self.attribute_precision = attribute_precision
        self.mine_background = mine_background
        self.nms_iou_thr = nms_iou_thr
        self.min_visible = min_visible
        self.bank = DetectionBank()
        self.calibrators = torch.nn.ModuleDict()
        if hold_out is not None:
            for name, num_groups in (
                ('cell_type', num_classes),
                ('presence', 1),
                ('attribute', len(self.schema)),
            ):
                self.calibrators[name] = MODELS.build(
                    dict(calibrator, num_groups=num_groups)
                )
        # Presence probability of a prior that overlaps no detection.
        self.register_buffer('unseen_probability', torch.ones(()))
        # Probability from which a detection of each type is mined.
        self.register_buffer(
            'thresholds', torch.full((num_classes,), target_precision)
        )

    def store(self, data_sample: DetDataSample, held_out: bool) -> None:
        """Put the detections of a field into the bank, beside its labels.

        Fields that are annotated as a whole have nothing to mine, and are
        left out.

        Args:
            data_sample (:obj:`DetDataSample`): ``pred_instances`` in pixels of
                the stored image; metainfo 'img_path', 'ori_shape',
                'instances' and 'annotated_regions' as in the dataset.
            held_out (bool): Whether the labels of this field are held out of
                the loss, so that calibrators can be fitted to them.
        """
        regions = data_sample.metainfo.get('annotated_regions')
        if regions is None:
            return
        regions = torch.tensor(regions, dtype=torch.float32).reshape(-1, 4)
        truth, ignored = split_cells(data_sample.instances, self.schema)
        found = self._one_box_per_cell(data_sample.pred_instances.cpu())
        boxes = found.bboxes.numpy()
        match = match_detections(
            boxes, found.scores.numpy(), truth['gt_bboxes'], self.iou_thr
        )
        # The row behind the last one is for detections without a cell.
        found.true_labels = torch.from_numpy(
            np.append(truth['gt_labels'], -1)[match]
        )
        nothing = np.full((1, len(self.schema)), MISSING)
        found.true_attributes = torch.from_numpy(
            np.concatenate([truth['gt_attributes'], nothing])[match]
        )

        is_matched = torch.from_numpy(match >= 0)
        on_ignored = torch.from_numpy(in_unknown_area(boxes, ignored))
        found.is_outside = ~(
            center_in_regions(found.bboxes, regions) | on_ignored | is_matched
        )
        found.is_calibrating = (
            center_in_regions(found.bboxes, regions, self.border) & ~on_ignored
        ) & held_out
        height, width = data_sample.ori_shape[:2]
        labels = torch.from_numpy(truth['gt_labels'])
        cell_areas = _areas(torch.from_numpy(truth['gt_bboxes']))
        found.set_metainfo(
            dict(
                held_out=held_out,
                num_cells=len(labels),
                type_counts=torch.bincount(labels, minlength=self.num_classes),
                num_seen=int(is_matched.sum()),
                # As shares of the field.
                annotated_area=float(_areas(regions).sum() / (height * width)),
                cell_area=float(cell_areas.sum() / (height * width)),
            )
        )
        self.bank.put(data_sample.img_path, found)

    def _one_box_per_cell(self, detections: InstanceData) -> InstanceData:
        """Keep the best box of each cell of an image.

        The result also has ``class_scores`` (n, C), those of the best box of
        each class at the same place, and ``presence_scores``, their sum.
        """
        boxes = get_box_tensor(detections.bboxes).float()
        kept = InstanceData(
            bboxes=boxes,
            labels=detections.labels,
            scores=detections.scores.float(),
        )
        # Every class had its own NMS. Its boxes of one proposal differ
        # little, while a box on a part of a cell is another place.
        same_place = bbox_overlaps(boxes, boxes) >= self.place_iou_thr
        kept.class_scores = torch.zeros(
            len(boxes), self.num_classes
        ).scatter_reduce(
            1,
            kept.labels.expand(len(boxes), -1),
            same_place * kept.scores,
            'amax',
        )
        kept.presence_scores = kept.class_scores.sum(dim=1).clamp(max=1)
        shape = (len(boxes), len(self.schema))
        if 'attribute_labels' in detections:
            kept.attribute_labels = detections.attribute_labels
            kept.attribute_scores = detections.attribute_scores.float()
        else:
            kept.attribute_labels = torch.full(shape, MISSING)
            kept.attribute_scores = torch.zeros(shape)
        order = one_box_per_cell(
            boxes.numpy(), kept.scores.numpy(), self.nms_iou_thr
        )
        return kept[torch.from_numpy(order)]

    def calibrate(self) -> Dict[str, float]:
        """Fit the calibrators and decide what is mined.

        Where no field in the bank is held out the calibrators stay as they
        are.

        Returns:
            dict[str, float]: Numbers to be logged, by name.

        Raises:
            RuntimeError: If the bank is empty.
        """
        entries = [entry for _, entry in self.bank.items()]
        if not entries:
            raise RuntimeError(
                'the bank of detections is empty, expected entries of fields '
                'that are annotated in part: the mining dataloader gave none. '
                'Give it the sparse annotation file, and a pipeline whose '
                "meta keys have 'instances' and 'annotated_regions'"
            )
        held_out = [entry for entry in entries if entry.held_out]
        if self.calibrators and held_out:
            self._fit(held_out)
        bounds = [self._set_probabilities(entry) for entry in entries]
        offsets = self._balance_types(entries, bounds)
        self._set_thresholds(entries)
        summary = self._summary(entries)
        summary['largest_type_offset'] = float(offsets.abs().max())
        return summary

    def _balance_types(
        self, entries: List[InstanceData], bounds: List[Tensor]
    ) -> Tensor:
        """Correct types in place, set confidences, return offsets (C, )."""
        offsets = torch.zeros(self.num_classes)
        if self.type_std is not None:
            offsets = balance_types(
                torch.cat([e.type_probs[e.is_outside] for e in entries]),
                sum(entry.type_counts for entry in entries),
                self.type_std,
            )
        for entry, bound in zip(entries, bounds):
            entry.type_probs = apply_offsets(entry.type_probs, offsets)
            entry.types = entry.type_probs.argmax(dim=1)
            bound = apply_offsets(bound, offsets)
            entry.confidences = bound.gather(1, entry.types[:, None])[:, 0]
        return offsets

    def _set_thresholds(self, entries: List[InstanceData]) -> None:
        """Choose for each type from which confidence detections are mined."""
        confidences = torch.cat([e.confidences[e.is_outside] for e in entries])
        types = torch.cat([e.types[e.is_outside] for e in entries])
        for cell_type in range(self.num_classes):
            self.thresholds[cell_type] = precision_threshold(
                confidences[types == cell_type],
                self.target_precision,
                self.min_probability,
            )

    def _fit(self, held_out: List[InstanceData]) -> None:
        """Fit all calibrators to the held-out fields."""
        for calibrator in self.calibrators.values():
            calibrator.start_pass()
        for entry in held_out:
            found = entry[entry.is_calibrating]
            self.calibrators['cell_type'].observe(
                found.scores, found.labels, found.true_labels == found.labels
            )
            self.calibrators['presence'].observe(
                found.presence_scores,
                torch.zeros_like(found.labels),
                found.true_labels >= 0,
            )
            known = found.true_attributes != MISSING
            known &= found.attribute_labels != MISSING
            self.calibrators['attribute'].observe(
                found.attribute_scores[known],
                known.nonzero()[:, 1],
                (found.true_attributes == found.attribute_labels)[known],
            )
        for calibrator in self.calibrators.values():
            calibrator.fit()
        # Cells without any detection, to an area of fields; half a cell
        # stands for what so few fields can't rule out. A prior meets one of
        # them about as often as its area holds a centre.
        missed = sum(e.num_cells - e.num_seen for e in held_out) + 0.5
        area = sum(e.annotated_area for e in held_out)
        cells = max(1, sum(e.num_cells for e in held_out))
        size = sum(e.cell_area for e in held_out) / cells
        unseen = missed / area * size if area > 0 and size > 0 else 1.0
        self.unseen_probability.fill_(min(1.0, unseen))

    def _set_probabilities(self, entry: InstanceData) -> Tensor:
        """Set probabilities in place, return lower bounds by type (n, C)."""
        scores = entry.class_scores
        if not self.calibrators:
            probs = bounds = scores
            entry.presence = entry.presence_scores
            attribute_probs = entry.attribute_scores
        else:
            probs = self._type_probs(scores)
            bounds = self._type_probs(scores, self.num_stds)
            one_group = torch.zeros_like(entry.labels)
            entry.presence = self.calibrators['presence'].probabilities(
                entry.presence_scores, one_group
            )
            groups = torch.arange(len(self.schema)).expand(len(entry), -1)
            attribute_probs = self.calibrators['attribute'].probabilities(
                entry.attribute_scores.flatten(), groups.flatten()
            )
            attribute_probs = attribute_probs.view(groups.shape)
        entry.type_probs = _limit_sum(probs)
        least = self.attribute_precision
        is_mined = attribute_probs >= (np.inf if least is None else least)
        entry.attributes = torch.where(
            is_mined, entry.attribute_labels, MISSING
        )
        return _limit_sum(bounds)

    def _type_probs(self, scores: Tensor, num_stds: float = 0.0) -> Tensor:
        """Turn the scores of all types into probabilities, both (n, C)."""
        types = torch.arange(self.num_classes).expand_as(scores)
        probs = self.calibrators['cell_type'].probabilities(
            scores.flatten(), types.flatten(), num_stds
        )
        return probs.view_as(scores) * (scores > 0)

    def _summary(self, entries: List[InstanceData]) -> Dict[str, float]:
        """Sum up what the bank holds."""
        is_mined = [e.is_outside & self.is_mined(e) for e in entries]
        mined = torch.cat(
            [e.confidences[rows] for e, rows in zip(entries, is_mined)]
        )
        codes = torch.cat(
            [e.attributes[rows] for e, rows in zip(entries, is_mined)]
        )
        annotated = sum(e.annotated_area for e in entries)
        expected = (len(entries) - annotated) / max(annotated, 1e-6)
        expected *= sum(e.num_cells for e in entries)
        num_outside = sum(int(e.is_outside.sum()) for e in entries)
        summary = dict(
            mined=len(mined),
            # The annotated area tells how many cells the rest should hold.
            mined_of_expected=len(mined) / max(expected, 1e-6),
            estimated_precision=float(mined.mean()) if len(mined) else 0.0,
            candidates=num_outside - len(mined),
            mined_attributes=float((codes != MISSING).float().mean())
            if len(codes)
            else 0.0,
            unseen_probability=float(self.unseen_probability),
        )
        for name, calibrator in self.calibrators.items():
            summary[f'held_out_{name}'] = float(calibrator.counts.sum())
            summary[f'slope_{name}'] = float(calibrator.mean[1])
            summary[f'intercept_{name}'] = float(calibrator.mean[0])
        return summary

    def label(self, data_samples: List[DetDataSample]) -> List[DetDataSample]:
        """Add what is mined to the labels of views of fields.

        The geometry of a view is the meta key 'field_matrix' of
        :class:`PackLLDInputs`. Where it is None (in a mosaic, say), or the
        field has no entry in the bank, nothing is known of un-annotated area:
        such views stay as they are.

        Args:
            data_samples (list[:obj:`DetDataSample`]): Samples of a batch.

        Returns:
            list[:obj:`DetDataSample`]: The same samples. ``gt_instances`` get
            mined cells and ``probs`` (1 for labelled ones),
            ``ignored_instances`` candidates and ``probs``.

        Raises:
            KeyError: If the view of a field in the bank lacks 'field_matrix'.
        """
        # Entries are on the host: one wait for the device a batch.
        thresholds = self.thresholds.cpu() if len(self.bank) else None
        for data_sample in data_samples:
            gt_instances = data_sample.gt_instances
            gt_instances.bboxes = get_box_tensor(gt_instances.bboxes)
            gt_instances.probs = torch.ones_like(gt_instances.bboxes[:, 0])
            entry = self.bank.get(data_sample.img_path)
            if entry is None:
                continue
            if 'field_matrix' not in data_sample.metainfo:
                raise KeyError(
                    f'{data_sample.img_path}: the sample lacks the meta key '
                    "'field_matrix', by which detections are mapped into the "
                    'view. Pack training images with mmleuk.PackLLDInputs '
                    "and, if you set its meta_keys, with 'field_matrix' "
                    'among them'
                )
            if data_sample.field_matrix is None:
                continue
            if not data_sample.metainfo.get('held_out', False):
                entry = entry[entry.is_outside]
            self._add(data_sample, entry, self.is_mined(entry, thresholds))
        return data_samples

    def _add(
        self, data_sample: DetDataSample, entry: InstanceData, is_mined: Tensor
    ) -> None:
        """Add detections to one sample, as cells or candidates."""
        height, width = data_sample.img_shape[:2]
        matrix = np.diag([width, height, 1]) @ data_sample.field_matrix
        whole = bbox_project(entry.bboxes, torch.from_numpy(matrix).float())
        boxes = whole.clone()
        boxes[:, 0::2] = boxes[:, 0::2].clamp(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clamp(0, height)
        visible = _areas(boxes) / _areas(whole).clamp(min=1e-6)
        in_view = visible > 0
        is_mined = is_mined & (visible >= self.min_visible) & in_view

        gt_instances = data_sample.gt_instances
        mined = InstanceData(
            bboxes=boxes[is_mined],
            labels=entry.types[is_mined],
            probs=entry.confidences[is_mined].clamp(max=1 - 1e-6),
        )
        if 'attributes' in gt_instances:
            mined.attributes = entry.attributes[is_mined]
        data_sample.gt_instances = _join(gt_instances, mined)

        if not self.mine_background:
            return
        ignored = data_sample.ignored_instances
        ignored.bboxes = get_box_tensor(ignored.bboxes)
        ignored.probs = torch.where(
            ignored.labels == UNANNOTATED,
            self.unseen_probability.to(ignored.bboxes),
            ignored.bboxes.new_ones(()),
        )
        is_candidate = in_view & ~is_mined
        candidates = InstanceData(
            bboxes=boxes[is_candidate],
            labels=torch.full((int(is_candidate.sum()),), CANDIDATE),
            probs=entry.presence[is_candidate],
        )
        if 'attributes' in ignored:
            candidates.attributes = torch.full(
                (len(candidates), ignored.attributes.size(1)), MISSING
            )
        data_sample.ignored_instances = _join(ignored, candidates)

    def is_mined(
        self, entry: InstanceData, thresholds: Optional[Tensor] = None
    ) -> Tensor:
        """Find the detections of a field that are sure enough to be mined.

        Args:
            entry (:obj:`InstanceData`): Detections from the bank.
            thresholds (Tensor, optional): Copy of ``self.thresholds`` on the
                host, made here if None.

        Returns:
            Tensor: Bool, shape (n, ).
        """
        if thresholds is None:
            thresholds = self.thresholds.cpu()
        return entry.confidences >= thresholds[entry.types]


def _limit_sum(probs: Tensor) -> Tensor:
    """Scale the other types down so that each row, (n, C), sums to <= 1."""
    is_best = torch.zeros_like(probs).scatter_(
        1, probs.argmax(dim=1, keepdim=True), 1
    )
    best = (probs * is_best).sum(dim=1, keepdim=True)
    others = probs * (1 - is_best)
    total = others.sum(dim=1, keepdim=True).clamp(min=1e-12)
    others = others * ((1 - best) / total).clamp(max=1)
    return torch.where(is_best > 0, probs, others)


def _join(instances: InstanceData, more: InstanceData) -> InstanceData:
    """Join instances of equal fields, on the device of the first."""
    # From the host: the device need not be waited for.
    more = more.to(instances.bboxes.device, non_blocking=True)
    return InstanceData.cat([instances, more])


def _areas(boxes: Tensor) -> Tensor:
    """Area of each box, shape (n, )."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
