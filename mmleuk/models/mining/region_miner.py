# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmcv.ops import nms
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
    match_detections,
)

from .detection_bank import DetectionBank
from .precision_threshold import precision_threshold
from .type_balance import apply_offsets, balance_types


@MODELS.register_module()
class RegionMiner(BaseModule):
    """Mine cells, attributes and background on un-annotated area.

    A teacher's detections of each field lie in a bank. What they are worth is
    not guessed: on the annotated regions of some fields, whose labels no loss
    sees, the same teacher meets the truth. There every detection is judged,
    and calibrators turn scores into chances (docs/mining.md states the
    algorithm and its assumptions). Then, in any view of a field,

    - the detections of a type with the highest chances to be right become
      ground truth, as many as have a mean chance of ``target_precision``;
    - one of its attributes is part of that ground truth where its own chance
      is ``attribute_precision`` or more;
    - any other detection becomes a candidate, and the rest of the un-annotated
      area is background, each with the calibrated chance to hide a cell, for
      :class:`SparseRegionSampler` to weigh.

    Args:
        num_classes (int): Number of cell types.
        attributes (Sequence[dict]): The schema. Defaults to LLD's seven.
        hold_out (dict, optional): ``share`` and ``seed`` of the fields whose
            labels are held out, the same as those of ``HoldOutRegions`` in
            the training pipeline. None takes scores as chances, without any
            calibration.
        calibrator (dict): Config of a :class:`ScoreCalibrator`.
        target_precision (float): Least mean chance of the mined cells of a
            type. Defaults to 0.95.
        min_chance (float): Least chance of any mined cell: what is doubtful
            by itself is no label, however sure the others are. Defaults to
            0.8.
        type_std (float, optional): Standard deviation of the prior of how
            much the teacher may prefer a type, as an offset of log-odds: how
            often it names each type is held against the labelled cells
            (:func:`balance_types`). None takes it at its word. Defaults to 1.
        num_stds (float): Standard deviations by which the bound on that
            chance stays below its estimate. Defaults to 0.5.
        attribute_precision (float, optional): Least chance of a mined
            attribute; None mines none. Defaults to 0.9.
        mine_background (bool): Whether un-annotated area can become
            background. Defaults to True.
        nms_iou_thr (float): IoU from which the better of two detections stands
            for both, whatever their classes: more than neighbouring cells
            overlap, less than a cell and a box on a part of it. Defaults to
            0.3.
        min_visible (float): Least visible share of a mined cell in a view;
            below, it is a candidate. Defaults to 0.5.
    """

    # From this IoU on a detection is right, as in the metric.
    iou_thr = 0.5
    # From this IoU on boxes of several classes are one look at one place.
    place_iou_thr = 0.7
    # Judging needs certainty that a label is not missing for lying across the
    # border: the centre is this share of the box's side inside the region.
    border = 0.1

    def __init__(
        self,
        num_classes: int,
        attributes: Sequence[dict] = LLD_ATTRIBUTES,
        hold_out: Optional[dict] = None,
        calibrator: dict = dict(type='mmleuk.ScoreCalibrator'),
        target_precision: float = 0.95,
        min_chance: float = 0.8,
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
        self.min_chance = min_chance
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
        # Chance that a prior away from all detections hides a cell.
        self.register_buffer('unseen_chance', torch.ones(()))
        # Chance from which on a detection of each type is mined.
        self.register_buffer(
            'thresholds', torch.full((num_classes,), target_precision)
        )

    def judge(self, data_sample: DetDataSample, held_out: bool) -> None:
        """Bank what the teacher found in one whole field, and judge it.

        Fields that are annotated as a whole leave nothing to mine, and none
        of theirs is stored.

        Args:
            data_sample (:obj:`DetDataSample`): ``pred_instances`` in pixels of
                the stored image; metainfo 'img_path', 'ori_shape',
                'instances' and 'annotated_regions' as the dataset states them.
            held_out (bool): Whether the labels of this field are held out of
                the loss, so that they can judge.
        """
        regions = data_sample.metainfo.get('annotated_regions')
        if regions is None:
            return
        regions = torch.tensor(regions, dtype=torch.float32).reshape(-1, 4)
        truth, ignored = _read_truth(data_sample.instances, len(self.schema))
        found = self._one_box_a_cell(data_sample.pred_instances.cpu())

        match = torch.from_numpy(
            match_detections(
                found.bboxes.numpy(),
                found.scores.numpy(),
                truth.bboxes.numpy(),
                self.iou_thr,
            )
        )
        found.true_labels = torch.where(
            match >= 0, _rows(truth.labels, match), -1
        )
        found.true_attributes = torch.where(
            match[:, None] >= 0, _rows(truth.attributes, match), MISSING
        )

        on_ignored = bbox_overlaps(found.bboxes, ignored, mode='iof') > 0.5
        on_ignored = on_ignored.any(dim=1)
        found.is_outside = ~(
            _has_center_in(found.bboxes, regions) | on_ignored | (match >= 0)
        )
        found.is_judged = (
            _has_center_in(found.bboxes, regions, self.border) & ~on_ignored
        ) & held_out
        height, width = data_sample.ori_shape[:2]
        found.set_metainfo(
            dict(
                held_out=held_out,
                num_cells=len(truth),
                type_counts=torch.bincount(
                    truth.labels, minlength=self.num_classes
                ),
                num_seen=int((match >= 0).sum()),
                # In fields: the area of a field counts as one.
                annotated_area=_area(regions) / (height * width),
                cell_area=_area(truth.bboxes) / (height * width),
            )
        )
        self.bank.put(data_sample.img_path, found)

    def _one_box_a_cell(self, detections: InstanceData) -> InstanceData:
        """Keep the best box of each place, whatever its class.

        Args:
            detections (:obj:`InstanceData`): Detections of one image.

        Returns:
            :obj:`InstanceData`: ``bboxes``, ``labels`` and ``scores``,
            ``class_scores``, those of the best box of each class there (n, C),
            ``presence_scores``, their sum, ``attribute_labels`` and
            ``attribute_scores`` (MISSING and 0 where the teacher names no
            attributes).
        """
        boxes = get_box_tensor(detections.bboxes).float()
        kept = InstanceData(
            bboxes=boxes,
            labels=detections.labels,
            scores=detections.scores.float(),
        )
        # Every class had its own NMS, so that its best box of a place is left.
        # Of one proposal they differ little, while a box on a part of a cell
        # is a place of its own.
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
        if len(boxes) == 0:
            return kept
        _, order = nms(boxes, kept.scores, self.nms_iou_thr)
        return kept[order]

    def calibrate(self) -> Dict[str, float]:
        """Fit the calibrators to the judged detections in the bank.

        Where no field in the bank is held out they stay as they are.

        Returns:
            dict[str, float]: What was found, by name, to be logged.
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
        least_chances = [self._set_chances(entry) for entry in entries]
        offsets = self._balance_types(entries, least_chances)
        self._set_thresholds(entries)
        summary = self._summary(entries)
        summary['largest_type_offset'] = float(offsets.abs().max())
        return summary

    def _balance_types(
        self, entries: List[InstanceData], least_chances: List[Tensor]
    ) -> Tensor:
        """Hold the types outside against those that are labelled.

        Args:
            entries (list[:obj:`InstanceData`]): Detections of all fields,
                whose chances of types are corrected in place. The likeliest
                types and the bounds on their chances are added.
            least_chances (list[Tensor]): What :meth:`_set_chances` returned
                for each field.

        Returns:
            Tensor: The offset of each type's log-odds, shape (C, ).
        """
        offsets = torch.zeros(self.num_classes)
        if self.type_std is not None:
            offsets = balance_types(
                torch.cat([e.type_chances[e.is_outside] for e in entries]),
                sum(entry.type_counts for entry in entries),
                self.type_std,
            )
        for entry, least in zip(entries, least_chances):
            entry.type_chances = apply_offsets(entry.type_chances, offsets)
            entry.types = entry.type_chances.argmax(dim=1)
            least = apply_offsets(least, offsets)
            entry.chances = least.gather(1, entry.types[:, None])[:, 0]
        return offsets

    def _set_thresholds(self, entries: List[InstanceData]) -> None:
        """Choose for each type which detections are mined."""
        chances = torch.cat([e.chances[e.is_outside] for e in entries])
        types = torch.cat([e.types[e.is_outside] for e in entries])
        for cell_type in range(self.num_classes):
            self.thresholds[cell_type] = precision_threshold(
                chances[types == cell_type],
                self.target_precision,
                self.min_chance,
            )

    def _fit(self, held_out: List[InstanceData]) -> None:
        """Fit all calibrators to fields whose labels are held out."""
        for calibrator in self.calibrators.values():
            calibrator.start_pass()
        for entry in held_out:
            found = entry[entry.is_judged]
            is_cell = found.true_labels >= 0
            self.calibrators['cell_type'].observe(
                found.scores, found.labels, found.true_labels == found.labels
            )
            self.calibrators['presence'].observe(
                found.presence_scores,
                torch.zeros_like(found.labels),
                is_cell,
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
        # Cells that the teacher does not see at all, to an area of fields;
        # half a cell stands for what so few fields can't rule out. A prior
        # meets one of them about as often as its area holds a centre.
        missed = sum(e.num_cells - e.num_seen for e in held_out) + 0.5
        area = sum(e.annotated_area for e in held_out)
        cells = max(1, sum(e.num_cells for e in held_out))
        size = sum(e.cell_area for e in held_out) / cells
        chance = missed / area * size if area > 0 and size > 0 else 1.0
        self.unseen_chance.fill_(min(1.0, chance))

    def _set_chances(self, entry: InstanceData) -> Tensor:
        """Give the detections of a field their chances, in place.

        Args:
            entry (:obj:`InstanceData`): The detections.

        Returns:
            Tensor: Lower bounds on the chances of their types, shape (n, C).
        """
        scores = entry.class_scores
        if not self.calibrators:
            chances = least = scores
            entry.presence = entry.presence_scores
            attribute_chances = entry.attribute_scores
        else:
            chances = self._type_chances(scores)
            least = self._type_chances(scores, self.num_stds)
            one_group = torch.zeros_like(entry.labels)
            entry.presence = self.calibrators['presence'].chances(
                entry.presence_scores, one_group
            )
            groups = torch.arange(len(self.schema)).expand(len(entry), -1)
            attribute_chances = self.calibrators['attribute'].chances(
                entry.attribute_scores.flatten(), groups.flatten()
            )
            attribute_chances = attribute_chances.view(groups.shape)
        entry.type_chances = _share_out(chances)
        codes = torch.full_like(entry.attribute_labels, MISSING)
        if self.attribute_precision is not None:
            codes = torch.where(
                attribute_chances >= self.attribute_precision,
                entry.attribute_labels,
                codes,
            )
        entry.attributes = codes
        return _share_out(least)

    def _type_chances(self, scores: Tensor, num_stds: float = 0.0) -> Tensor:
        """Turn the scores of all types into chances, both (n, C)."""
        types = torch.arange(self.num_classes).expand_as(scores)
        chances = self.calibrators['cell_type'].chances(
            scores.flatten(), types.flatten(), num_stds
        )
        return chances.view_as(scores) * (scores > 0)

    def _summary(self, entries: List[InstanceData]) -> Dict[str, float]:
        """Sum up what the bank holds."""
        is_mined = [e.is_outside & self.is_certain(e) for e in entries]
        chances = torch.cat(
            [e.chances[mined] for e, mined in zip(entries, is_mined)]
        )
        annotated = sum(e.annotated_area for e in entries)
        expected = (len(entries) - annotated) / max(annotated, 1e-6)
        expected *= sum(e.num_cells for e in entries)
        codes = torch.cat(
            [e.attributes[mined] for e, mined in zip(entries, is_mined)]
        )
        num_outside = sum(int(e.is_outside.sum()) for e in entries)
        summary = dict(
            mined=len(chances),
            # The annotated area tells how many cells the rest should hold.
            mined_of_expected=len(chances) / max(expected, 1e-6),
            estimated_precision=float(chances.mean()) if len(chances) else 0.0,
            candidates=num_outside - len(chances),
            mined_attributes=float((codes != MISSING).float().mean())
            if len(codes)
            else 0.0,
            unseen_chance=float(self.unseen_chance),
        )
        for name, calibrator in self.calibrators.items():
            summary[f'judged_{name}'] = float(calibrator.counts.sum())
            summary[f'slope_{name}'] = float(calibrator.mean[1])
            summary[f'intercept_{name}'] = float(calibrator.mean[0])
        return summary

    def label(self, data_samples: List[DetDataSample]) -> List[DetDataSample]:
        """Add what is mined to the labels of views of fields.

        Only the geometry of the view has to be known, as the meta key
        'homography_matrix' of MMDetection's transforms: views without it, and
        fields without an entry in the bank, keep what they have.

        Args:
            data_samples (list[:obj:`DetDataSample`]): Samples of a batch.

        Returns:
            list[:obj:`DetDataSample`]: The same samples. ``gt_instances`` get
            mined cells and ``chances`` (1 for labelled ones),
            ``ignored_instances`` candidates and ``chances``.
        """
        for data_sample in data_samples:
            gt_instances = data_sample.gt_instances
            gt_instances.bboxes = get_box_tensor(gt_instances.bboxes)
            gt_instances.chances = torch.ones_like(gt_instances.bboxes[:, 0])
            entry = self.bank.get(data_sample.img_path)
            matrix = data_sample.metainfo.get('homography_matrix')
            if entry is not None and matrix is not None:
                if not data_sample.metainfo.get('held_out', False):
                    entry = entry[entry.is_outside]
                self._add(data_sample, entry, torch.as_tensor(matrix))
        return data_samples

    def _add(
        self, data_sample: DetDataSample, entry: InstanceData, matrix: Tensor
    ) -> None:
        """Add detections to one sample, as cells or candidates."""
        height, width = data_sample.img_shape[:2]
        whole = bbox_project(entry.bboxes, matrix.float())
        boxes = whole.clone()
        boxes[:, 0::2] = boxes[:, 0::2].clamp(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clamp(0, height)
        visible = _sizes(boxes) / _sizes(whole).clamp(min=1e-6)
        in_view = visible > 0
        is_mined = self.is_certain(entry) & (visible >= self.min_visible)
        is_mined &= in_view

        gt_instances = data_sample.gt_instances
        mined = InstanceData(
            bboxes=boxes[is_mined],
            labels=entry.types[is_mined],
            chances=entry.chances[is_mined].clamp(max=1 - 1e-6),
        )
        if 'attributes' in gt_instances:
            mined.attributes = entry.attributes[is_mined]
        data_sample.gt_instances = _join(gt_instances, mined)

        if not self.mine_background:
            return
        ignored = data_sample.ignored_instances
        ignored.bboxes = get_box_tensor(ignored.bboxes)
        ignored.chances = torch.where(
            ignored.labels == UNANNOTATED,
            self.unseen_chance.to(ignored.bboxes),
            ignored.bboxes.new_ones(()),
        )
        is_candidate = in_view & ~is_mined
        candidates = InstanceData(
            bboxes=boxes[is_candidate],
            labels=torch.full((int(is_candidate.sum()),), CANDIDATE),
            chances=entry.presence[is_candidate],
        )
        if 'attributes' in ignored:
            candidates.attributes = torch.full(
                (len(candidates), ignored.attributes.size(1)), MISSING
            )
        data_sample.ignored_instances = _join(ignored, candidates)

    def is_certain(self, entry: InstanceData) -> Tensor:
        """Find detections that are mined as cells of their type.

        Args:
            entry (:obj:`InstanceData`): Detections of one field, from the
                bank.

        Returns:
            Tensor: Whether each is, bool, shape (n, ).
        """
        return entry.chances >= self.thresholds.to(entry.chances)[entry.types]


def _share_out(chances: Tensor) -> Tensor:
    """Let the likeliest type keep its chance, the others share what it leaves.

    Args:
        chances (Tensor): Chance of each type on its own, shape (n, C).

    Returns:
        Tensor: Chances whose sum is at most 1, shape (n, C).
    """
    is_best = torch.zeros_like(chances).scatter_(
        1, chances.argmax(dim=1, keepdim=True), 1
    )
    best = (chances * is_best).sum(dim=1, keepdim=True)
    others = chances * (1 - is_best)
    total = others.sum(dim=1, keepdim=True).clamp(min=1e-12)
    others = others * ((1 - best) / total).clamp(max=1)
    return torch.where(is_best > 0, chances, others)


def _join(instances: InstanceData, more: InstanceData) -> InstanceData:
    """Join instances of equal fields, on the device of the first."""
    more = more.to(instances.bboxes.device)
    return InstanceData.cat([instances, more])


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table that may be empty, those of a negative index any."""
    if len(table) == 0:
        return table.new_zeros((len(index), *table.shape[1:]))
    return table[index.clamp(min=0)]


def _sizes(boxes: Tensor) -> Tensor:
    """Area of each box, shape (n, )."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def _area(boxes: Tensor) -> float:
    """Sum of the areas of boxes that do not overlap much."""
    return float(_sizes(boxes).sum())


def _has_center_in(
    boxes: Tensor, regions: Tensor, border: float = 0.0
) -> Tensor:
    """Find boxes with their centre in a region.

    Args:
        boxes (Tensor): Boxes (x1, y1, x2, y2), shape (n, 4).
        regions (Tensor): Rectangles (x1, y1, x2, y2), shape (m, 4).
        border (float): Least distance of the centre from the region's border,
            as a share of the box's side. Defaults to 0.

    Returns:
        Tensor: Bool, shape (n, ).
    """
    centers = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    margin = border * (boxes[:, None, 2:] - boxes[:, None, :2])
    low = centers >= regions[:, :2] + margin
    high = centers <= regions[:, 2:] - margin
    return (low & high).all(dim=2).any(dim=1)


def _read_truth(
    instances: Sequence[dict], num_attributes: int
) -> Tuple[InstanceData, Tensor]:
    """Read the labels of a field as the dataset states them.

    Args:
        instances (Sequence[dict]): Instances of one image.
        num_attributes (int): Number of attributes of the schema.

    Returns:
        tuple[:obj:`InstanceData`, Tensor]: ``bboxes`` (k, 4), ``labels``
        (k, ) and ``attributes`` (k, num_attributes) of the cells, and the
        boxes of the ignored ones, (m, 4).
    """
    cells = [cell for cell in instances if not cell['ignore_flag']]
    ignored = [cell['bbox'] for cell in instances if cell['ignore_flag']]
    none = [MISSING] * num_attributes
    truth = InstanceData(
        bboxes=torch.tensor(
            [cell['bbox'] for cell in cells], dtype=torch.float32
        ).reshape(-1, 4),
        labels=torch.tensor(
            [cell['bbox_label'] for cell in cells], dtype=torch.int64
        ),
        attributes=torch.tensor(
            [list(cell.get('attributes', none)) for cell in cells],
            dtype=torch.int64,
        ).reshape(-1, num_attributes),
    )
    return truth, torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4)
