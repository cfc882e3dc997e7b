# Copyright (c) mmleuk authors. All rights reserved.
import copy
from typing import Any

from mmengine.config import ConfigDict

# Heads whose loss looks past the assigner, and that mmleuk has with `Region`
# before the name.
REGION_HEADS = (
    'ConditionalDETRHead',
    'DABDETRHead',
    'DETRHead',
    'DINOHead',
    'DeformableDETRHead',
    'FCOSHead',
    'YOLOXHead',
)


def with_regions(model: ConfigDict, **settings) -> ConfigDict:
    """Copy a detector of MMDetection that learns no un-annotated area.

    Its assigners become :class:`RegionAssigner` around what they are, and a
    head whose loss looks past its assigner becomes the one of mmleuk. Whether
    that is enough for the head is checked before the first step of a training.

    Args:
        model (:obj:`ConfigDict`): Config of the detector.
        **settings: Arguments of :class:`RegionAssigner`. Heads whose priors
            are points (FCOS, RTMDet, YOLOX) need ``point_size``.

    Returns:
        :obj:`ConfigDict`: The copy.
    """
    model = copy.deepcopy(model)
    _wrap_assigners(model.get('train_cfg'), settings)
    head = model.get('bbox_head', {})
    if head.get('type') in REGION_HEADS:
        head.type = f'mmleuk.Region{head.type}'
        if 'FCOS' in head.type:
            # It has no assigner.
            head.region_cfg = settings
    return model


def _wrap_assigners(node: Any, settings: dict) -> None:
    """Wrap each assigner in a part of a config, in place."""
    if isinstance(node, (list, tuple)):
        for value in node:
            _wrap_assigners(value, settings)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key.endswith('assigner'):
            node[key] = dict(
                type='mmleuk.RegionAssigner', assigner=value, **settings
            )
        else:
            _wrap_assigners(value, settings)
