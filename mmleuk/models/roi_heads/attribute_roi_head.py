# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi, get_box_tensor, scale_boxes
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from mmengine.model import ModuleList
from torch import Tensor
from torch.nn.functional import pad

from mmleuk.registry import MODELS
from mmleuk.structures import MISSING


class AttributeRoIHeadMixin:
    """Attribute branches for a RoI head of MMDetection.

    In training the branches learn from the positive RoIs of the last box
    stage. In tests they classify the final boxes, after NMS.

    Args:
        attribute_head (dict): Config of the attribute head.
        attribute_roi_extractor (dict, optional): Config of its RoI extractor.
            None shares that of the last box stage.
        attribute_source (str): Features to pool: 'neck', the levels of the
            neck; 'early', the backbone features that
            :class:`EarlyFeatureNeck` keeps; 'early+neck', these and then the
            levels of the neck.
        attribute_rois (str): RoIs to learn from: 'positive', the sampled
            positive RoIs, or 'gt', the labelled boxes.
        attribute_max_rois (int, optional): Most positive RoIs of an image to
            learn from, drawn at random; None takes all. RoIs of one cell
            overlap, so a few of them suffice.
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
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if attribute_source not in ('neck', 'early', 'early+neck'):
            raise ValueError(
                f'got attribute_source={attribute_source!r}, '
                "expected 'neck', 'early' or 'early+neck'"
            )
        if attribute_rois not in ('positive', 'gt'):
            raise ValueError(
                f'got attribute_rois={attribute_rois!r}, '
                "expected 'positive' or 'gt'"
            )
        self.attribute_source = attribute_source
        self.attribute_rois = attribute_rois
        self.attribute_max_rois = attribute_max_rois
        self.attribute_head = MODELS.build(attribute_head)
        self.shares_roi_extractor = attribute_roi_extractor is None
        if not self.shares_roi_extractor:
            self.attribute_roi_extractor = MODELS.build(
                attribute_roi_extractor
            )
        elif isinstance(self.bbox_roi_extractor, ModuleList):
            self.attribute_roi_extractor = self.bbox_roi_extractor[-1]
        else:
            self.attribute_roi_extractor = self.bbox_roi_extractor
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
            codes = self._gt_attributes(sample)
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
        metas = [sample.metainfo for sample in batch_data_samples]
        logits = self._attribute_forward(x, boxes, metas)
        return self.attribute_head.loss(logits, torch.cat(targets))

    def _gt_attributes(self, sample) -> Tensor:
        """Fetch the codes of an image's cells, (k, num_attributes)."""
        gt_instances = sample.gt_instances
        num_attributes = len(self.attribute_head.schema)
        if 'attributes' not in gt_instances:
            raise KeyError(
                f'{sample.metainfo.get("img_path", "an image")}: its '
                'gt_instances have no "attributes"; end the training pipeline '
                'with mmleuk.PackLLDInputs (cells without labels then get '
                f'{MISSING})'
            )
        codes = gt_instances.attributes
        if codes.size(1) != num_attributes:
            raise ValueError(
                f'{sample.metainfo.get("img_path", "an image")}: got '
                f'{codes.size(1)} attributes a cell, expected '
                f'{num_attributes}: {list(self.attribute_head.schema.names)}; '
                'give the dataset and the head the same schema'
            )
        return codes

    def _attribute_forward(
        self,
        x: Tuple[Tensor],
        boxes: List[Tensor],
        batch_img_metas: List[dict],
    ) -> Tensor:
        """Compute the logits (sum of n_i, sum of values) of boxes (n_i, 4)."""
        if self.attribute_source != 'neck':
            if not hasattr(x, 'early'):
                raise TypeError(
                    f'attribute_source={self.attribute_source!r} got a plain '
                    'tuple of features; wrap the neck in '
                    'mmleuk.EarlyFeatureNeck'
                )
            x = x.early if self.attribute_source == 'early' else x.early + x
        rois = bbox2roi(boxes)
        feats = self.attribute_roi_extractor(
            x[: self.attribute_roi_extractor.num_inputs], rois
        )
        if self.shares_roi_extractor and self.with_shared_head:
            feats = self.shared_head(feats)
        # Sides in pixels of the original image. A resize in the data
        # preprocessor is not part of `scale_factor`.
        scale_factors = torch.tensor(
            [meta.get('scale_factor', (1, 1))[:2] for meta in batch_img_metas],
            dtype=rois.dtype,
        ).to(rois.device, non_blocking=True)
        box_sizes = (rois[:, 3:5] - rois[:, 1:3]) / scale_factors[
            rois[:, 0].long()
        ]
        return self.attribute_head(feats, box_sizes)

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
        logits = self._attribute_forward(x, boxes, batch_img_metas)
        fields = self.attribute_head.predict(logits)
        num_boxes = [len(b) for b in boxes]
        for name, values in fields.items():
            for results, part in zip(results_list, values.split(num_boxes)):
                results[name] = part
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
        return outputs + (self._attribute_forward(x, proposals, metas),)


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
