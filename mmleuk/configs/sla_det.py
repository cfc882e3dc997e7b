# Copyright (c) mmleuk authors. All rights reserved.
from mmengine.config import ConfigDict

from .parts import check_roi_head


def sla_det(base: ConfigDict) -> dict:
    """Apply the sparse-label recipe of the authors of LLD.

    :class:`mmleuk.models.SLADet` says what differs from theirs. Its defaults
    are the authors' numbers. Of their 130 epochs 100 learn from the rectangles
    alone, 20 more use both further losses, and of the last 10 all but one the
    pseudo-label loss: the same shares of the schedule.

    Args:
        base (:obj:`ConfigDict`): The base, a two-stage detector.

    Returns:
        dict: ``model``.
    """
    check_roi_head(base, max_stages=1)
    extractor = base.model.roi_head.bbox_roi_extractor
    return dict(
        type='mmleuk.SLADet',
        # The finest level of the neck.
        similarity_roi_extractor=dict(
            type='mmleuk.RobustSingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=0),
            out_channels=extractor.out_channels,
            featmap_strides=list(extractor.featmap_strides[:1]),
        ),
    )
