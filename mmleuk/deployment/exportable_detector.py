# Copyright (c) mmleuk authors. All rights reserved.
import copy
from abc import ABCMeta, abstractmethod
from typing import List, Optional, Tuple

import torch
from mmcv.cnn import ConvModule
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.detectors import SemiBaseDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmleuk.models.utils import AttributeBranchesMixin

from .exportable_roi_extractor import ExportableRoIExtractor
from .onnx_ops import nms

# Allowed keys of an NMS config; `split_thr` does not change the result.
_NMS_KEYS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}


class ExportableDetector(nn.Module, metaclass=ABCMeta):
    """A detector as one function of tensors, from pixels to cells.

    It copies the detector's modules and calls their code wherever it can be
    exported: backbone, neck, heads, anchors, box coders and attribute
    branches. Where MMDetection branches on data or calls compiled code,
    tensors of fixed size are used instead: normalisation, choice of boxes, NMS
    and RoI extractors.

    Args:
        detector (BaseDetector): The detector, or a ``SemiBaseDetector`` of
            such: then the one it predicts with. It is not modified.

    Raises:
        TypeError: If it is another detector than the class is for.
        ValueError: If its ``test_cfg`` or its preprocessor has settings that
            can't be exported.
    """

    def __init__(self, detector: BaseDetector) -> None:
        super().__init__()
        preprocessor = detector.data_preprocessor
        # Semi-supervised training wraps it.
        preprocessor = getattr(preprocessor, 'data_preprocessor', preprocessor)
        detector = predicting_part(detector)
        self.check(detector)
        self.detector = copy.deepcopy(detector).eval()
        self._init_preprocessing(preprocessor)
        self._init_roi_extractors()
        for module in self.detector.modules():
            if isinstance(module, ConvModule):
                # Folds batch normalisation anew in every call; a runtime
                # folds it once.
                module.turn_on_efficient_conv_bn_eval(False)

    @staticmethod
    @abstractmethod
    def check(detector: BaseDetector) -> None:
        """Refuse detectors and settings that can't be exported."""

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """nn.Module: What has the RoI extractors, or the detector itself."""

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """int: Number of cell types."""

    @abstractmethod
    def _detect(
        self, x: Tuple[Tensor, ...], meta: dict, scale_factor: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Detect cells by the levels of the neck.

        Args:
            x (tuple[Tensor]): Levels of the neck.
            meta (dict): ``img_shape``.
            scale_factor (Tensor): As of :meth:`forward`.

        Returns:
            tuple[Tensor]: Boxes (n, 4) in pixels of the network's input,
            scores (n, ) in falling order, labels (n, ).
        """

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

    def _init_roi_extractors(self) -> None:
        """Put exportable RoI extractors into the head."""
        head = self.head
        for name in ('bbox_roi_extractor', 'attribute_roi_extractor'):
            extractor = getattr(head, name, None)
            if isinstance(extractor, nn.ModuleList):
                stages = [ExportableRoIExtractor(stage) for stage in extractor]
                setattr(head, name, nn.ModuleList(stages))
            elif extractor is not None:
                setattr(head, name, ExportableRoIExtractor(extractor))

    @property
    def has_attributes(self) -> bool:
        """bool: Whether the detector names attributes."""
        return isinstance(self.head, AttributeBranchesMixin)

    @property
    def attributes(self) -> List[dict]:
        """list[dict]: The schema, empty for a detector without."""
        if not self.has_attributes:
            return []
        return self.head.attribute_head.schema.to_list()

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
        boxes, scores, labels = self._detect(x, meta, scale_factor)
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

    def _name_attributes(
        self, x: Tuple[Tensor, ...], boxes: Tensor, scale_factor: Tensor
    ) -> Tensor:
        """Probabilities of attribute values, shape (n, sum of values)."""
        # The head does this for several images, with a constant scale.
        feats = self.head.pool_attributes(x, bbox2roi([boxes]))
        sides = (boxes[:, 2:] - boxes[:, :2]) / scale_factor
        logits = self.head.attribute_head(feats, sides)
        return self.head.attribute_head.predict(logits)['attribute_probs']


def predicting_part(detector: BaseDetector) -> BaseDetector:
    """Take the detector that a semi-supervised one predicts with."""
    if not isinstance(detector, SemiBaseDetector):
        return detector
    name = detector.semi_test_cfg.get('predict_on', 'teacher')
    return getattr(detector, name)


def suppress(
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


def check_nms(name: str, nms_cfg: Optional[ConfigDict]) -> None:
    """Refuse an NMS that the ONNX standard does not have."""
    nms_cfg = nms_cfg or {}
    if (
        'iou_threshold' not in nms_cfg
        or nms_cfg.get('type', 'nms') != 'nms'
        or set(nms_cfg) - _NMS_KEYS
    ):
        raise ValueError(
            f"{name} is {dict(nms_cfg)}, expected type='nms' "
            f'and no more than {sorted(_NMS_KEYS)}: the ONNX standard '
            'has no other NMS'
        )


def check_fixed(name: str, value: int) -> None:
    """Refuse an open number of boxes."""
    if value < 1:
        raise ValueError(
            f'{name} is {value}, expected a number from 1 on: '
            'an exported detector has a fixed number of boxes'
        )
