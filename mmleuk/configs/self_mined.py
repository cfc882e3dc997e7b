# Copyright (c) mmleuk authors. All rights reserved.
import copy

from mmengine.config import ConfigDict

from .parts import check_roi_head, rcnn_stages, use_region_bbox_heads


def self_mined(
    base: ConfigDict, warmup: float = 0.4, score_thr: float = 0.9
) -> dict:
    """Learn from the RoI head's own high scores on un-annotated area.

    Args:
        base (:obj:`ConfigDict`): The base, a two-stage detector.
        warmup (float): Share of the training before the model's own scores
            are trusted.
        score_thr (float): Lowest score of a mined cell.

    Returns:
        dict: ``model``.
    """
    check_roi_head(base)
    model = copy.deepcopy(base.model)
    use_region_bbox_heads(model)
    for stage in rcnn_stages(model):
        stage.sampler.update(
            type='mmleuk.SparseRegionSampler',
            warmup=warmup,
            self_mining=dict(score_thr=score_thr),
        )
    return model
