# Copyright (c) mmleuk authors. All rights reserved.
from typing import List, Optional, Sequence

import torch
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps

from mmleuk.models.utils import attribute_fields
from mmleuk.registry import MODELS
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema


@MODELS.register_module()
class AttributeTTAModel(DetTTAModel):
    """Merge detections of several views, attributes included.

    The parent merges boxes, scores and labels. The attribute probabilities of
    a merged box are the score-weighted mean over the detections of its class,
    in all views, that overlap it by ``iou_thr`` or more.

    Args:
        attributes (Sequence[dict]): The schema, LLD's by default.
        iou_thr (float): Least IoU of detections of one cell.
        tta_cfg (dict): ``nms`` and ``max_per_img`` of the parent.
        **kwargs: Other arguments of the parent.
    """

    def __init__(
        self,
        attributes: Sequence[dict] = LLD_ATTRIBUTES,
        iou_thr: float = 0.5,
        tta_cfg: Optional[dict] = None,
        **kwargs,
    ) -> None:
        super().__init__(tta_cfg=tta_cfg, **kwargs)
        self.schema = AttributeSchema(attributes)
        self.iou_thr = iou_thr

    def _merge_single_sample(
        self, data_samples: List[DetDataSample]
    ) -> DetDataSample:
        """Merge the predictions of the views of one image."""
        views = [sample.pred_instances for sample in data_samples]
        boxes = self.merge_aug_bboxes(
            [view.bboxes for view in views],
            None,
            [s.metainfo for s in data_samples],
        )
        labels = torch.cat([view.labels for view in views])
        scores = torch.cat([view.scores for view in views])
        probs = torch.cat([view.attribute_probs for view in views])
        merged = super()._merge_single_sample(data_samples)
        if len(boxes) == 0:
            return merged
        pred = merged.pred_instances
        votes = scores * (labels == pred.labels[:, None])
        votes = votes * (bbox_overlaps(pred.bboxes, boxes) >= self.iou_thr)
        probs = votes @ probs / votes.sum(dim=1, keepdim=True)
        for name, values in attribute_fields(probs, self.schema.sizes).items():
            pred[name] = values
        return merged
