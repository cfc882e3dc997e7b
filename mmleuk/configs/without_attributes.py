# Copyright (c) mmleuk authors. All rights reserved.
import copy

from mmengine.config import ConfigDict

# Heads of mmleuk and what they extend.
PLAIN_HEADS = dict(
    AttributeRoIHead='StandardRoIHead',
    CascadeAttributeRoIHead='CascadeRoIHead',
)


def without_attributes(model: ConfigDict) -> ConfigDict:
    """Copy a detector of mmleuk that predicts boxes and types alone.

    It is the detector of MMDetection that has the attribute branches, and its
    neck without early features: what a model with attributes is compared with.

    Args:
        model (:obj:`ConfigDict`): Config of the detector.

    Returns:
        :obj:`ConfigDict`: The copy.

    Raises:
        ValueError: If the model has no attribute branches that this knows.
    """
    model = copy.deepcopy(model)
    if 'attribute_head' in model:
        model.type = model.type.split('.')[-1].removeprefix('Attribute')
        _remove_attributes(model)
    else:
        head = model.get('roi_head', {})
        name = head.get('type', 'None').split('.')[-1]
        if name not in PLAIN_HEADS:
            raise ValueError(
                f'got {model.type} with the RoI head {name}, expected '
                'a detector with attributes: an attribute_head, or one of '
                f'{list(PLAIN_HEADS)} as its roi_head'
            )
        head.type = PLAIN_HEADS[name]
        _remove_attributes(head)
    neck = model.neck
    if neck.type.endswith('EarlyFeatureNeck'):
        first = neck.get('start_level', 0)
        model.backbone.out_indices = model.backbone.out_indices[first:]
        model.neck = neck.neck
    return model


def _remove_attributes(module: ConfigDict) -> None:
    """Remove the settings of attribute branches, in place."""
    for key in [key for key in module if key.startswith('attribute_')]:
        del module[key]
