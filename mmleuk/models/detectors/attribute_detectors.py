# Copyright (c) mmleuk authors. All rights reserved.
import copy
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional, Tuple

import torch
from mmdet.models.detectors import (
    ATSS,
    DINO,
    FCOS,
    GFL,
    TOOD,
    YOLOX,
    DeformableDETR,
    RetinaNet,
    RTMDet,
)
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import ConfigType
from torch import Tensor

from mmleuk.models.utils import (
    AttributeBranchesMixin,
    check_jitter,
    jitter_boxes,
)
from mmleuk.registry import MODELS


class AttributeDetectorMixin(AttributeBranchesMixin):
    """Attribute branches for any detector with a feature pyramid.

    For detectors without a RoI head, of which :class:`AttributeRoIHead` has
    the branches. A detector of one's own gets them by two lines::

        @MODELS.register_module()
        class AttributePAA(AttributeDetectorMixin, PAA): ...

    The branches pool features over boxes. In training these are the labelled
    boxes, moved and scaled at random, since detections deviate from them. In
    tests they are the final boxes, so that boxes, scores and labels are those
    of the parent. Weights of the parent have the same names.

    The features are those of the parent's own forward pass, which
    ``extract_feat`` passes on; nothing is kept after the step.

    Args:
        attribute_head (dict): Config of the attribute head.
        attribute_roi_extractor (dict): Config of its RoI extractor. Its
            strides are those of the first levels of ``attribute_source``.
        attribute_source (str): Features to pool, see
            :meth:`AttributeBranchesMixin.init_attributes`.
        attribute_center_std (float): Standard deviation of the shift of a
            labelled box, as a share of its side.
        attribute_size_std (float): Standard deviation of the logarithm of the
            factor of each of its sides.
        attribute_copies (int): Boxes to learn from for each labelled one, each
            with a shift and factors of its own.

    Raises:
        ValueError: If a standard deviation is negative, or there are no
            copies.
    """

    def __init__(
        self,
        *args,
        attribute_head: ConfigType,
        attribute_roi_extractor: ConfigType,
        attribute_source: str = 'neck',
        attribute_center_std: float = 0.05,
        attribute_size_std: float = 0.1,
        attribute_copies: int = 2,
        **kwargs,
    ) -> None:
        # MMDetection's DETRs write into their configs, from which no second
        # detector, such as a teacher, could be built.
        super().__init__(*copy.deepcopy(args), **copy.deepcopy(kwargs))
        check_jitter(attribute_center_std, attribute_size_std)
        if attribute_copies < 1:
            raise ValueError(
                f'got attribute_copies={attribute_copies}, expected 1 or more'
            )
        self.attribute_center_std = attribute_center_std
        self.attribute_size_std = attribute_size_std
        self.attribute_copies = attribute_copies
        self.init_attributes(
            attribute_head, attribute_roi_extractor, attribute_source
        )
        self._passes: Optional[List[Tuple[Tensor, ...]]] = None

    def extract_feat(self, batch_inputs: Tensor) -> Tuple[Tensor, ...]:
        """Extract features, (N, C, H, W) each, of images (N, 3, H, W)."""
        x = super().extract_feat(batch_inputs)
        if self._passes is not None:
            self._passes.append(x)
        return x

    @contextmanager
    def _noting_features(self) -> Iterator[List[Tuple[Tensor, ...]]]:
        """Collect what ``extract_feat`` returns until the block ends."""
        passes: List[Tuple[Tensor, ...]] = []
        self._passes = passes
        try:
            yield passes
        finally:
            self._passes = None

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> Dict[str, Tensor]:
        """Add ``loss_attribute`` and ``acc_attribute`` to the losses.

        Args:
            batch_inputs (Tensor): Images, shape (N, 3, H, W).
            batch_data_samples (list[:obj:`DetDataSample`]): Their samples.
                ``gt_instances`` need ``attributes``: codes, (k,
                num_attributes) int64, ``MISSING`` where unknown.

        Returns:
            dict[str, Tensor]: The losses.
        """
        with self._noting_features() as passes:
            losses = super().loss(batch_inputs, batch_data_samples)
        losses.update(self.attribute_loss(passes[-1], batch_data_samples))
        return losses

    def attribute_loss(
        self, x: Tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> Dict[str, Tensor]:
        """Compute the loss of the attribute branches.

        Args:
            x (tuple[Tensor]): Levels of the neck, each (N, C, H, W).
            batch_data_samples (list[:obj:`DetDataSample`]): The samples.

        Returns:
            dict[str, Tensor]: ``loss_attribute`` and ``acc_attribute``. In a
            batch without cells the loss is a zero that reaches all parameters
            of the branches, as DDP requires.
        """
        boxes = [self._jittered_boxes(sample) for sample in batch_data_samples]
        targets = [
            self.gt_attributes(sample).repeat(self.attribute_copies, 1)
            for sample in batch_data_samples
        ]
        metas = [sample.metainfo for sample in batch_data_samples]
        logits = self.attribute_logits(x, boxes, metas)
        return self.attribute_head.loss(logits, torch.cat(targets))

    def _jittered_boxes(self, sample: DetDataSample) -> Tensor:
        """Copy labelled boxes (k, 4), with noise, to (copies * k, 4)."""
        boxes = get_box_tensor(sample.gt_instances.bboxes)
        boxes = boxes.repeat(self.attribute_copies, 1)
        return jitter_boxes(
            boxes,
            sample.img_shape,
            self.attribute_center_std,
            self.attribute_size_std,
        )

    def predict(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> SampleList:
        """Add the fields of :meth:`BaseAttributeHead.predict` to detections.

        Args:
            batch_inputs (Tensor): Images, shape (N, 3, H, W).
            batch_data_samples (list[:obj:`DetDataSample`]): Their samples.
            rescale (bool): Whether boxes are in pixels of the original image.

        Returns:
            list[:obj:`DetDataSample`]: The samples with ``pred_instances``.
        """
        # The parent rescales before NMS: only with the same argument are the
        # boxes the same.
        with self._noting_features() as passes:
            samples = super().predict(
                batch_inputs, batch_data_samples, rescale=rescale
            )
        results_list = [sample.pred_instances for sample in samples]
        metas = [sample.metainfo for sample in samples]
        boxes = [get_box_tensor(results.bboxes) for results in results_list]
        if rescale:
            boxes = [
                b * b.new_tensor(meta['scale_factor'][:2]).repeat(2)
                for b, meta in zip(boxes, metas)
            ]
        logits = self.attribute_logits(passes[-1], boxes, metas)
        self.add_attributes(results_list, logits)
        return samples


@MODELS.register_module()
class AttributeATSS(AttributeDetectorMixin, ATSS):
    """:class:`ATSS` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeDeformableDETR(AttributeDetectorMixin, DeformableDETR):
    """:class:`DeformableDETR` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeDINO(AttributeDetectorMixin, DINO):
    """:class:`DINO` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeFCOS(AttributeDetectorMixin, FCOS):
    """:class:`FCOS` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeGFL(AttributeDetectorMixin, GFL):
    """:class:`GFL` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeRetinaNet(AttributeDetectorMixin, RetinaNet):
    """:class:`RetinaNet` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeRTMDet(AttributeDetectorMixin, RTMDet):
    """:class:`RTMDet` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeTOOD(AttributeDetectorMixin, TOOD):
    """:class:`TOOD` with :class:`AttributeDetectorMixin`."""


@MODELS.register_module()
class AttributeYOLOX(AttributeDetectorMixin, YOLOX):
    """:class:`YOLOX` with :class:`AttributeDetectorMixin`."""
