# Copyright (c) mmleuk authors. All rights reserved.
import copy
from typing import List, Tuple

import torch
from mmcv.cnn import ConvModule
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import SemiBaseDetector, TwoStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.structures.bbox import bbox2roi, get_box_tensor
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmleuk.models.roi_heads.attribute_roi_head import AttributeRoIHeadMixin

from .exportable_roi_extractor import ExportableRoIExtractor
from .onnx_ops import nms

# Allowed keys of an NMS config; `split_thr` does not change the result.
_NMS_KEYS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}


class ExportableDetector(nn.Module):
    """A two-stage detector as one function of tensors, from pixels to cells.

    It copies the detector's modules and calls their code wherever it can be
    exported: backbone, neck, heads, anchors, box coders, cascade refinement
    and attribute branches. Where MMDetection branches on data or calls
    compiled code, tensors of fixed size are used instead: normalisation,
    choice of proposals, NMS and RoI extractors.

    There are always ``max_per_img`` proposals. Missing ones are empty boxes,
    whose detections have the score 0.

    Args:
        detector (BaseDetector): A ``TwoStageDetector`` with an ``RPNHead`` and
            a ``StandardRoIHead`` or ``CascadeRoIHead`` without masks, or a
            ``SemiBaseDetector`` of such: then the one it predicts with. It is
            not modified.

    Raises:
        TypeError: If it is another detector.
        ValueError: If its ``test_cfg`` or its preprocessor has settings that
            can't be exported.
    """

    def __init__(self, detector: BaseDetector) -> None:
        super().__init__()
        preprocessor = detector.data_preprocessor
        # Semi-supervised training wraps it.
        preprocessor = getattr(preprocessor, 'data_preprocessor', preprocessor)
        if isinstance(detector, SemiBaseDetector):
            detector = getattr(
                detector, detector.semi_test_cfg.get('predict_on', 'teacher')
            )
        _check_detector(detector)
        self.detector = copy.deepcopy(detector).eval()
        self._init_preprocessing(preprocessor)
        self._init_roi_head()
        for module in self.detector.modules():
            if isinstance(module, ConvModule):
                # Folds batch normalisation anew in every call; a runtime
                # folds it once.
                module.turn_on_efficient_conv_bn_eval(False)

    def _init_preprocessing(self, preprocessor: nn.Module) -> None:
        """Copy the settings of the preprocessor."""
        if not isinstance(preprocessor, DetDataPreprocessor):
            raise TypeError(
                f'export to ONNX got a {type(preprocessor).__name__}, '
                'expected a DetDataPreprocessor'
            )
        # MMEngine only has private names for these two.
        self.swaps_channels = preprocessor._channel_conversion
        is_normalised = preprocessor._enable_normalize
        mean = preprocessor.mean if is_normalised else torch.zeros(3, 1, 1)
        std = preprocessor.std if is_normalised else torch.ones(3, 1, 1)
        self.register_buffer('mean', mean.detach().clone())
        self.register_buffer('std', std.detach().clone())
        self.pad_value = float(preprocessor.pad_value)
        self.divisor = preprocessor.pad_size_divisor
        if self.divisor % 32:
            raise ValueError(
                f'the data preprocessor has pad_size_divisor={self.divisor}, '
                'expected a multiple of 32, the coarsest stride of the '
                'backbones: sizes of features are then known to the exporter'
            )

    def _init_roi_head(self) -> None:
        """Put exportable RoI extractors into the RoI head."""
        roi_head = self.detector.roi_head
        for name in ('bbox_roi_extractor', 'attribute_roi_extractor'):
            extractor = getattr(roi_head, name, None)
            if isinstance(extractor, nn.ModuleList):
                stages = [ExportableRoIExtractor(stage) for stage in extractor]
                setattr(roi_head, name, nn.ModuleList(stages))
            elif extractor is not None:
                setattr(roi_head, name, ExportableRoIExtractor(extractor))

    @property
    def has_attributes(self) -> bool:
        """bool: Whether the detector names attributes."""
        return isinstance(self.detector.roi_head, AttributeRoIHeadMixin)

    @property
    def attributes(self) -> List[dict]:
        """list[dict]: The schema, empty for a detector without."""
        if not self.has_attributes:
            return []
        return self.detector.roi_head.attribute_head.schema.to_list()

    @property
    def num_classes(self) -> int:
        """int: Number of cell types."""
        head = self.detector.roi_head.bbox_head
        head = head[-1] if isinstance(head, nn.ModuleList) else head
        return head.num_classes

    def forward(
        self, tiles: Tensor, image_shape: Tensor, scale_factor: Tensor
    ) -> Tuple[Tensor, ...]:
        """Detect the cells of one image.

        Args:
            tiles (Tensor): The image, BGR, padded at the bottom and on the
                right to multiples of ``divisor`` d and viewed as
                (1, 3, rows, d, columns, d), uint8, so that the exporter knows
                that d divides both sides. Values in the padding are ignored.
            image_shape (Tensor): Height and width before padding, shape
                (2, ), int64.
            scale_factor (Tensor): Pixels of the image for one pixel of the
                original image, in x and in y, shape (2, ), float32.

        Returns:
            tuple[Tensor]: Boxes (n, 4) in pixels of the original image,
            scores (n, ) in falling order, labels (n, ), and for a detector
            with attributes the probabilities of all values (n, sum of
            values).
        """
        x = self.detector.extract_feat(self._preprocess(tiles, image_shape))
        meta = dict(img_shape=(image_shape[0].item(), image_shape[1].item()))
        proposals, is_there = self._propose(x, meta)
        boxes, scores, labels = self._detect(x, meta, proposals, is_there)
        outputs = (boxes / scale_factor.repeat(2), scores, labels)
        if not self.has_attributes:
            return outputs
        return (*outputs, self._name_attributes(x, boxes, scale_factor))

    def _preprocess(self, tiles: Tensor, image_shape: Tensor) -> Tensor:
        """Normalise and pad as MMDetection does, to (1, 3, H, W) float32."""
        height = tiles.size(2) * self.divisor
        width = tiles.size(4) * self.divisor
        image = tiles.reshape(1, 3, height, width)
        if self.swaps_channels:
            image = image[:, [2, 1, 0]]
        image = (image.float() - self.mean) / self.std
        rows = torch.arange(height, device=image.device) < image_shape[0]
        columns = torch.arange(width, device=image.device) < image_shape[1]
        # MMDetection pads after normalising.
        return torch.where(
            rows[:, None] & columns, image, image.new_tensor(self.pad_value)
        )

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
        kept = _suppress(
            boxes,
            torch.where(is_large, scores, -1.0),
            torch.cat(levels),
            cfg.nms,
            cfg.max_per_img,
        )
        is_there = kept >= 0
        return boxes[kept.clamp(min=0)] * is_there[:, None], is_there

    def _detect(
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
        kept = _suppress(
            boxes,
            torch.where(scores > cfg.score_thr, scores, -1.0),
            labels,
            cfg.nms,
            cfg.max_per_img,
        )
        kept = kept[kept >= 0]
        return boxes[kept], scores[kept], labels[kept]

    def _name_attributes(
        self, x: Tuple[Tensor, ...], boxes: Tensor, scale_factor: Tensor
    ) -> Tensor:
        """Probabilities of attribute values, shape (n, sum of values)."""
        # The RoI head does this for several images, with a constant scale.
        head = self.detector.roi_head
        feats = head.pool_attributes(x, bbox2roi([boxes]))
        sides = (boxes[:, 2:] - boxes[:, :2]) / scale_factor
        logits = head.attribute_head(feats, sides)
        return head.attribute_head.predict(logits)['attribute_probs']


def _suppress(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    nms_cfg: ConfigDict,
    max_num: int,
) -> Tensor:
    """Indices of NMS within each group (level or type) as of :func:`nms`."""
    if not nms_cfg.get('class_agnostic', False):
        # Groups are moved apart as MMCV does, so that IoUs are the same bits.
        farthest = (boxes * (scores > 0)[:, None]).max()
        boxes = boxes + groups.to(boxes)[:, None] * (farthest + 1)
    return nms(boxes, scores, nms_cfg.iou_threshold, max_num)


def _check_detector(detector: BaseDetector) -> None:
    """Refuse detectors and settings that can't be exported."""
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
    for name, value in (
        ('rpn.nms_pre', rpn_cfg.get('nms_pre', -1)),
        ('rpn.max_per_img', rpn_cfg.get('max_per_img', -1)),
        ('rcnn.max_per_img', rcnn_cfg.get('max_per_img', -1)),
    ):
        if value < 1:
            raise ValueError(
                f'test_cfg.{name} is {value}, expected a number from 1 on: '
                'an exported detector has a fixed number of boxes'
            )
    for name, cfg in (('rpn', rpn_cfg.nms), ('rcnn', rcnn_cfg.nms)):
        if cfg.get('type', 'nms') != 'nms' or set(cfg) - _NMS_KEYS:
            raise ValueError(
                f"test_cfg.{name}.nms is {dict(cfg)}, expected type='nms' "
                f'and no more than {sorted(_NMS_KEYS)}: the ONNX standard '
                'has no other NMS'
            )
