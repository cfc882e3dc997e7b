# Copyright (c) mmleuk authors. All rights reserved.
import copy

from mmengine.config import ConfigDict
from mmengine.hub import get_config

# Where the stages come from.
CASCADE = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'
HEADS = dict(
    AttributeRoIHead='mmleuk.CascadeAttributeRoIHead',
    StandardRoIHead='CascadeRoIHead',
)


def cascade(base: ConfigDict) -> dict:
    """Make a Cascade R-CNN of a Faster R-CNN.

    Each stage is the box head of the base with the coder, the loss of boxes
    and the IoU thresholds of that stage in MMDetection's Cascade R-CNN.

    Args:
        base (:obj:`ConfigDict`): The config of the Faster R-CNN, with or
            without attributes.

    Returns:
        dict: What differs in ``model``.
    """
    stages = get_config(CASCADE).model
    head, rcnn = base.model.roi_head, base.model.train_cfg.rcnn
    heads, settings = [], []
    for own, cfg in zip(stages.roi_head.bbox_head, stages.train_cfg.rcnn):
        heads.append(
            dict(
                copy.deepcopy(head.bbox_head),
                bbox_coder=own.bbox_coder,
                loss_bbox=own.loss_bbox,
                reg_class_agnostic=True,
            )
        )
        thresholds = {
            key: cfg.assigner[key]
            for key in (
                'pos_iou_thr',
                'neg_iou_thr',
                'min_pos_iou',
                'match_low_quality',
            )
        }
        stage = copy.deepcopy(rcnn)
        stage.assigner.update(thresholds)
        settings.append(stage)
    return dict(
        type='CascadeRCNN',
        roi_head=dict(
            type=HEADS[head.type.split('.')[-1]],
            num_stages=stages.roi_head.num_stages,
            stage_loss_weights=stages.roi_head.stage_loss_weights,
            bbox_head=heads,
        ),
        train_cfg=dict(rcnn=settings),
    )
