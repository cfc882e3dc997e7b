# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor, scale_boxes
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from mmengine.model import ModuleList
from torch import Tensor
from torch.nn.functional import pad

from mmleuk.models.utils import (
    AttributeBranchesMixin,
    check_jitter,
    jitter_boxes,
)
from mmleuk.registry import MODELS
from mmleuk.structures import MISSING


class AttributeRoIHeadMixin(AttributeBranchesMixin):
    """Attribute branches for a RoI head of MMDetection.

    In training the branches learn from the positive RoIs of the last box
    stage. In tests they classify the final boxes, after NMS.

    Args:
        attribute_head (dict): Config of the attribute head.
        attribute_roi_extractor (dict, optional): Config of its RoI extractor.
            None shares that of the last box stage.
        attribute_source (str): Features to pool, see
            :meth:`AttributeBranchesMixin.init_attributes`.
        attribute_rois (str): RoIs to learn from: 'positive', the sampled
            positive RoIs, or 'gt', the labelled boxes.
        attribute_max_rois (int, optional): Most positive RoIs of an image to
            learn from, drawn at random; None takes all. RoIs of one cell
            overlap, so a few of them suffice.
        attribute_center_std (float): Standard deviation of a random shift of
            the RoIs to learn from, as a share of their sides.
        attribute_size_std (float): Standard deviation of the logarithm of a
            random factor of each of their sides.

    Raises:
        ValueError: If ``attribute_rois`` is neither, or a standard deviation
            is negative.
    """

    knows_regions = True

    def __init__(
        self,
        *args,
        attribute_head: ConfigType,
        attribute_roi_extractor: OptConfigType = None,
        attribute_source: str = 'neck',
        attribute_rois: str = 'positive',
        attribute_max_rois: Optional[int] = None,
        attribute_center_std: float = 0.0,
        attribute_size_std: float = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if attribute_rois not in ('positive', 'gt'):
            raise ValueError(
                f'got attribute_rois={attribute_rois!r}, '
                "expected 'positive' or 'gt'"
            )
        check_jitter(attribute_center_std, attribute_size_std)
        self.attribute_rois = attribute_rois
        self.attribute_max_rois = attribute_max_rois
        self.attribute_jitter = attribute_center_std, attribute_size_std
        self.shares_roi_extractor = attribute_roi_extractor is None
        if self.shares_roi_extractor:
            attribute_roi_extractor = self.bbox_roi_extractor
            if isinstance(attribute_roi_extractor, ModuleList):
                attribute_roi_extractor = attribute_roi_extractor[-1]
        self.init_attributes(
            attribute_head, attribute_roi_extractor, attribute_source
        )
        self._sampling_results = None

    def bbox_loss(self, *args) -> dict:
        """Compute the box loss and keep its sampling results.

        MMDetection's ``loss`` hands them to this method only, as the last
        argument; the attribute loss of the same step needs them. Where the
        batch has no RoI to learn from, ``loss_cls`` is added to the results:
        a zero that reaches the classifier, as DDP requires.
        """
        self._sampling_results = args[-1]
        results = super().bbox_loss(*args)
        results['loss_bbox'].setdefault(
            'loss_cls', results['cls_score'].sum() * 0
        )
        return results

    def loss(
        self,
        x: Tuple[Tensor],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
    ) -> Dict[str, Tensor]:
        """Add ``loss_attribute`` and ``acc_attribute`` to the box losses.

        ``gt_instances`` of the samples need ``attributes``: codes, (k,
        num_attributes) int64, ``MISSING`` where unknown.
        """
        losses = super().loss(x, rpn_results_list, batch_data_samples)
        sampling_results, self._sampling_results = self._sampling_results, None
        losses.update(
            self.attribute_loss(x, sampling_results, batch_data_samples)
        )
        return losses

    def attribute_loss(
        self,
        x: Tuple[Tensor],
        sampling_results: List[SamplingResult],
        batch_data_samples: SampleList,
    ) -> Dict[str, Tensor]:
        """Compute the loss of the attribute branches.

        Args:
            x (tuple[Tensor]): Levels of the neck, each (N, C, H, W).
            sampling_results (list[:obj:`SamplingResult`]): One an image.
            batch_data_samples (list[:obj:`DetDataSample`]): The samples.

        Returns:
            dict[str, Tensor]: ``loss_attribute`` and ``acc_attribute``.
        """
        boxes, targets = [], []
        for sample, sampled in zip(batch_data_samples, sampling_results):
            codes = self.gt_attributes(sample)
            if self.attribute_rois == 'gt':
                boxes.append(get_box_tensor(sample.gt_instances.bboxes))
                targets.append(codes)
            else:
                rois = get_box_tensor(sampled.pos_priors)
                drawn = torch.randperm(len(rois), device=rois.device)
                drawn = drawn[: self.attribute_max_rois]
                boxes.append(rois[drawn])
                # Cells that the sampler mined itself come after the labelled
                # ones; their attributes are not known.
                found = sampled.num_gts - len(codes)
                codes = pad(codes, (0, 0, 0, found), value=MISSING)
                targets.append(codes[sampled.pos_assigned_gt_inds[drawn]])
        if any(self.attribute_jitter):
            boxes = [
                jitter_boxes(rois, sample.img_shape, *self.attribute_jitter)
                for rois, sample in zip(boxes, batch_data_samples)
            ]
        metas = [sample.metainfo for sample in batch_data_samples]
        logits = self.attribute_logits(x, boxes, metas)
        return self.attribute_head.loss(logits, torch.cat(targets))

    def pool_attributes(self, x: Tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """See :meth:`AttributeBranchesMixin.pool_attributes`."""
        feats = super().pool_attributes(x, rois)
        if self.shares_roi_extractor and self.with_shared_head:
            feats = self.shared_head(feats)
        return feats

    def predict_bbox(
        self,
        x: Tuple[Tensor],
        batch_img_metas: List[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigType,
        rescale: bool = False,
        **kwargs,
    ) -> InstanceList:
        """Add the fields of :meth:`BaseAttributeHead.predict` to detections.

        If ``rcnn_test_cfg`` is None, the parent returns raw scores of all
        proposals, which get no attributes.
        """
        results_list = super().predict_bbox(
            x,
            batch_img_metas,
            rpn_results_list,
            rcnn_test_cfg,
            rescale=rescale and rcnn_test_cfg is None,
            **kwargs,
        )
        if rcnn_test_cfg is None:
            return results_list
        boxes = [get_box_tensor(results.bboxes) for results in results_list]
        logits = self.attribute_logits(x, boxes, batch_img_metas)
        self.add_attributes(results_list, logits)
        if rescale:
            for results, meta in zip(results_list, batch_img_metas):
                factor = [1 / s for s in meta['scale_factor']]
                results.bboxes = scale_boxes(results.bboxes, factor)
        return results_list

    def forward(
        self,
        x: Tuple[Tensor],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
    ) -> tuple:
        """Append attribute logits of the proposals to the parent's outputs."""
        outputs = super().forward(x, rpn_results_list, batch_data_samples)
        proposals = [results.bboxes for results in rpn_results_list]
        metas = [sample.metainfo for sample in batch_data_samples]
        return outputs + (self.attribute_logits(x, proposals, metas),)


@MODELS.register_module()
class AttributeRoIHead(AttributeRoIHeadMixin, StandardRoIHead):
    """:class:`StandardRoIHead` with :class:`AttributeRoIHeadMixin`."""


@MODELS.register_module()
class CascadeAttributeRoIHead(AttributeRoIHeadMixin, CascadeRoIHead):
    """:class:`CascadeRoIHead` with :class:`AttributeRoIHeadMixin`.

    The branches learn from the RoIs of the last stage that had any.
    """

    def loss(
        self,
        x: Tuple[Tensor],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
    ) -> Dict[str, Tensor]:
        """Compute the losses of all stages and of the attributes.

        Where the batch has no RoI to learn from, MMDetection leaves out the
        later stages. Here their losses are zeros that reach all of their
        parameters, as DDP requires.
        """
        losses = super().loss(x, rpn_results_list, batch_data_samples)
        for stage in range(self.current_stage + 1, self.num_stages):
            results = self._bbox_forward(stage, x, x[0].new_zeros(0, 5))
            losses[f's{stage}.loss_cls'] = results['cls_score'].sum()
            losses[f's{stage}.loss_bbox'] = results['bbox_pred'].sum()
        return losses
