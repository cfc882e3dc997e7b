# Copyright (c) mmleuk authors. All rights reserved.
"""Attribute branches on detectors of MMDetection without a RoI head."""

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

# First strides of the necks of RetinaNet, ATSS, RTMDet, YOLOX, DINO ...
STRIDES = (8, 16)
# A cell of up to 224 px is pooled at the finest of them.
FINEST_SCALE = 112


def attributes(base: ConfigDict, **attribute_head) -> dict:
    """Add attribute branches to the detector of a config.

    Args:
        base (:obj:`ConfigDict`): The config. The finest level of its neck has
            the stride 8.
        **attribute_head: Arguments of :class:`AttributeHead`.

    Returns:
        dict: What differs in ``model``.
    """
    name = base.model.type.split('.')[-1]
    necks = base.model.neck
    neck = necks[-1] if isinstance(necks, list) else necks
    return dict(
        type=f'mmleuk.Attribute{name}',
        attribute_roi_extractor=dict(
            type='mmleuk.RobustSingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=neck.out_channels,
            featmap_strides=list(STRIDES),
            finest_scale=FINEST_SCALE,
        ),
        attribute_head=dict(
            type='mmleuk.AttributeHead',
            in_channels=neck.out_channels,
            **attribute_head,
        ),
    )


def mmdet_model(base: ConfigDict, name: str, **changes) -> dict:
    """Take the rest of a model from a config of MMDetection.

    Args:
        base (:obj:`ConfigDict`): A config whose ``model`` has some parts, such
            as the backbone, which replace those of MMDetection.
        name (str): Config of MMDetection, such as
            ``'mmdet::atss/atss_r50_fpn_1x_coco.py'``.
        **changes: What differs in its other parts; dicts are merged.

    Returns:
        dict: The parts that the base does not have.
    """
    own = {
        key: value
        for key, value in get_config(name).model.items()
        if key not in base.model
    }
    cfg = Config(dict(model=own))
    cfg.merge_from_dict(dict(model=changes))
    return cfg.model.to_dict()
