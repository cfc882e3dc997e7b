# Copyright (c) mmleuk authors. All rights reserved.
from typing import Tuple

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from .exportable_detector import (
    ExportableDetector,
    check_fixed,
    check_nms,
    suppress,
)

# What this class does in their place. Heads that have their own are not
# exported.
_METHODS = (
    'predict',
    'predict_by_feat',
    '_predict_by_feat_single',
    '_bbox_post_process',
)


class ExportableDense(ExportableDetector):
    """A ``SingleStageDetector`` whose head predicts as ``BaseDenseHead``.

    Such are RetinaNet, ATSS, FCOS and RTMDet. There are always ``nms_pre``
    boxes of a level before NMS. Missing ones have no score.
    """

    @staticmethod
    def check(detector: BaseDetector) -> None:
        """See :meth:`ExportableDetector.check`."""
        head: nn.Module = getattr(detector, 'bbox_head', None)
        if not isinstance(detector, SingleStageDetector) or not all(
            getattr(type(head), name, None) is getattr(BaseDenseHead, name)
            for name in _METHODS
        ):
            raise TypeError(
                f'export to ONNX got a {type(detector).__name__} with the '
                f'head {type(head).__name__}, expected a two-stage detector, '
                'or one stage whose head predicts as BaseDenseHead does: '
                'RetinaNet, ATSS, FCOS or RTMDet'
            )
        cfg = head.test_cfg
        for name in ('nms_pre', 'max_per_img'):
            check_fixed(f'test_cfg.{name}', cfg.get(name, -1))
        check_nms('test_cfg.nms', cfg.get('nms'))

    def _init_preprocessing(self, preprocessor: nn.Module) -> None:
        """Check the divisor by the strides of the head, too."""
        super()._init_preprocessing(preprocessor)
        strides = self.detector.bbox_head.prior_generator.strides
        coarsest = max(max(stride) for stride in strides)
        if self.divisor % coarsest:
            raise ValueError(
                'the data preprocessor has '
                f'pad_size_divisor={self.divisor}, expected a multiple of '
                f'{coarsest}, the coarsest stride of the head: sizes of '
                'features are then known to the exporter'
            )

    @property
    def head(self) -> nn.Module:
        """See :attr:`ExportableDetector.head`."""
        return self.detector

    @property
    def num_classes(self) -> int:
        """int: Number of cell types."""
        return self.detector.bbox_head.num_classes

    def _detect(
        self, x: Tuple[Tensor, ...], meta: dict, scale_factor: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """See :meth:`ExportableDetector._detect`."""
        head = self.detector.bbox_head
        cfg = head.test_cfg
        score_maps, box_maps, *factor_maps = head(x)
        all_priors = head.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in score_maps],
            dtype=score_maps[0].dtype,
            device=score_maps[0].device,
        )
        found = []
        for level, priors in enumerate(all_priors):
            scores = score_maps[level][0].permute(1, 2, 0)
            scores = scores.reshape(-1, head.cls_out_channels)
            if head.use_sigmoid_cls:
                scores = scores.sigmoid()
            else:
                scores = scores.softmax(dim=-1)[:, :-1]
            scores = torch.where(
                scores > cfg.get('score_thr', 0), scores, -1.0
            )
            # Fillers, as a level may have fewer than nms_pre.
            absent = scores.new_full((cfg.nms_pre,), -1.0)
            best, index = torch.cat([scores.reshape(-1), absent]).topk(
                cfg.nms_pre
            )
            index = torch.where(best >= 0, index, 0)
            places = index // self.num_classes
            if factor_maps:
                factors = factor_maps[0][level][0].permute(1, 2, 0).reshape(-1)
                factors = factors.sigmoid()[places]
                best = torch.where(best >= 0, best * factors, best)
            deltas = box_maps[level][0].permute(1, 2, 0).reshape(-1, 4)
            boxes = head.bbox_coder.decode(
                get_box_tensor(priors)[places],
                deltas[places],
                max_shape=meta['img_shape'],
            )
            found.append(
                (get_box_tensor(boxes), best, index % self.num_classes)
            )
        boxes, scores, labels = map(torch.cat, zip(*found))
        # MMDetection rescales before NMS.
        stored = boxes / scale_factor.repeat(2)
        sides = stored[:, 2:] - stored[:, :2]
        is_large = (sides > cfg.get('min_bbox_size', -1)).all(dim=1)
        kept = suppress(
            stored,
            torch.where(is_large, scores, -1.0),
            labels,
            cfg.nms,
            cfg.max_per_img,
        )
        kept = kept[kept >= 0]
        return boxes[kept], scores[kept], labels[kept]
