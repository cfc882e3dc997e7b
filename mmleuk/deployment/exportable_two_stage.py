# Copyright (c) mmleuk authors. All rights reserved.
from typing import Tuple

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .exportable_detector import (
    ExportableDetector,
    check_fixed,
    check_nms,
    suppress,
)


class ExportableTwoStage(ExportableDetector):
    """A ``TwoStageDetector`` with an ``RPNHead`` and a RoI head.

    The RoI head is a ``StandardRoIHead`` or a ``CascadeRoIHead`` without
    masks. There are always ``max_per_img`` proposals. Missing ones are empty
    boxes, whose detections have the score 0.
    """

    @staticmethod
    def check(detector: BaseDetector) -> None:
        """See :meth:`ExportableDetector.check`."""
        if not isinstance(detector, TwoStageDetector):
            raise TypeError(
                f'export to ONNX got a {type(detector).__name__}, expected a '
                'two-stage detector, such as a Faster R-CNN'
            )
        rpn_head, roi_head = detector.rpn_head, detector.roi_head
        if not isinstance(rpn_head, RPNHead) or not rpn_head.use_sigmoid_cls:
            raise TypeError(
                f'export to ONNX got the RPN head {type(rpn_head).__name__}, '
                'expected an RPNHead with sigmoid scores'
            )
        if (
            not isinstance(roi_head, (StandardRoIHead, CascadeRoIHead))
            or roi_head.with_mask
        ):
            raise TypeError(
                f'export to ONNX got the RoI head {type(roi_head).__name__}, '
                'expected a StandardRoIHead or a CascadeRoIHead without masks'
            )
        rpn_cfg, rcnn_cfg = rpn_head.test_cfg, roi_head.test_cfg
        check_fixed('test_cfg.rpn.nms_pre', rpn_cfg.get('nms_pre', -1))
        for name, cfg in (('rpn', rpn_cfg), ('rcnn', rcnn_cfg)):
            check_fixed(
                f'test_cfg.{name}.max_per_img', cfg.get('max_per_img', -1)
            )
            check_nms(f'test_cfg.{name}.nms', cfg.nms)

    @property
    def head(self) -> nn.Module:
        """See :attr:`ExportableDetector.head`."""
        return self.detector.roi_head

    @property
    def num_classes(self) -> int:
        """int: Number of cell types."""
        head = self.head.bbox_head
        head = head[-1] if isinstance(head, nn.ModuleList) else head
        return head.num_classes

    def _detect(
        self, x: Tuple[Tensor, ...], meta: dict, scale_factor: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """See :meth:`ExportableDetector._detect`."""
        return self._classify(x, meta, *self._propose(x, meta))

    def _propose(
        self, x: Tuple[Tensor, ...], meta: dict
    ) -> Tuple[Tensor, Tensor]:
        """Choose max_per_img proposals, and mask those that exist."""
        head = self.detector.rpn_head
        cfg = head.test_cfg
        score_maps, delta_maps = head(x)
        priors = head.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in score_maps],
            dtype=score_maps[0].dtype,
            device=score_maps[0].device,
        )
        boxes, scores, levels = [], [], []
        for level, (score_map, delta_map, anchors) in enumerate(
            zip(score_maps, delta_maps, priors)
        ):
            level_scores = score_map[0].permute(1, 2, 0).reshape(-1).sigmoid()
            deltas = delta_map[0].permute(1, 2, 0).reshape(-1, 4)
            # Fillers, as a level may have fewer than nms_pre priors.
            absent = level_scores.new_full((cfg.nms_pre,), -1.0)
            best, index = torch.cat([level_scores, absent]).topk(cfg.nms_pre)
            index = torch.where(best >= 0, index, 0)
            decoded = head.bbox_coder.decode(
                get_box_tensor(anchors)[index],
                deltas[index],
                max_shape=meta['img_shape'],
            )
            boxes.append(get_box_tensor(decoded))
            scores.append(best)
            levels.append(torch.full_like(index, level))
        boxes, scores = torch.cat(boxes), torch.cat(scores)
        sides = boxes[:, 2:] - boxes[:, :2]
        is_large = (sides > cfg.get('min_bbox_size', -1)).all(dim=1)
        kept = suppress(
            boxes,
            torch.where(is_large, scores, -1.0),
            torch.cat(levels),
            cfg.nms,
            cfg.max_per_img,
        )
        is_there = kept >= 0
        return boxes[kept.clamp(min=0)] * is_there[:, None], is_there

    def _classify(
        self,
        x: Tuple[Tensor, ...],
        meta: dict,
        proposals: Tensor,
        is_there: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Classify proposals, refine their boxes (n, 4) and apply NMS."""
        cfg = self.detector.roi_head.test_cfg
        # Without a config the head returns all scores of all proposals.
        raw = self.detector.roi_head.predict_bbox(
            x, [meta], [InstanceData(bboxes=proposals)], rcnn_test_cfg=None
        )[0]
        scores = raw.scores[:, :-1] * is_there[:, None]
        num_proposals, num_classes = scores.shape
        boxes = raw.bboxes.reshape(num_proposals, -1, 4)
        boxes = boxes.expand(num_proposals, num_classes, 4).reshape(-1, 4)
        labels = torch.arange(num_classes, device=scores.device)
        labels = labels.repeat(num_proposals)
        scores = scores.reshape(-1)
        kept = suppress(
            boxes,
            torch.where(scores > cfg.score_thr, scores, -1.0),
            labels,
            cfg.nms,
            cfg.max_per_img,
        )
        kept = kept[kept >= 0]
        return boxes[kept], scores[kept], labels[kept]
