# Copyright (c) mmleuk authors. All rights reserved.
import logging
from typing import Optional, Tuple

import numpy as np
from mmengine.logging import print_log
from torch import nn

from mmleuk.models.roi_heads.attribute_heads.attribute_head import (
    BaseAttributeHead,
)
from mmleuk.structures import AttributeSchema, TypeProfile


def find_schema(model: nn.Module) -> Optional[AttributeSchema]:
    """Find the attributes that a model predicts.

    Args:
        model (nn.Module): The model, with ``dataset_meta``.

    Returns:
        AttributeSchema | None: The schema of its head with the titles of its
        dataset; None for a model without attributes.

    Raises:
        ValueError: If its dataset has other attributes or values.
    """
    heads = [m for m in model.modules() if isinstance(m, BaseAttributeHead)]
    if not heads:
        return None
    schema = heads[0].schema
    named = model.dataset_meta.get('attributes')
    if not named:
        return schema
    of_data = AttributeSchema(named)
    if [(a.name, a.values) for a in of_data] != [
        (a.name, a.values) for a in schema
    ]:
        raise ValueError(
            f'its data have the attributes {of_data!r}, the head of its '
            f'model {schema!r}, expected the same'
        )
    return of_data


def trained_attributes(
    schema: Optional[AttributeSchema], profile: Optional[TypeProfile]
) -> Tuple[Optional[AttributeSchema], Optional[np.ndarray]]:
    """Leave out attributes without a label in the training data.

    Their branches were never trained, so their output means nothing.

    Args:
        schema (AttributeSchema, optional): Attributes of the model.
        profile (TypeProfile, optional): Profile of its training data. None:
            unknown, and all attributes stay.

    Returns:
        tuple: The attributes that are left, None if there are none, and their
        columns in the model's probabilities, int64.
    """
    if schema is None:
        return None, None
    counts = {} if profile is None else profile.counts
    untrained = {name for name, table in counts.items() if not table.any()}
    columns = np.arange(schema.num_values)
    parts = np.split(columns, np.cumsum(schema.sizes)[:-1])
    kept = [
        (attribute, part)
        for attribute, part in zip(schema, parts)
        if attribute.name not in untrained
    ]
    if len(kept) < len(schema):
        names = [a.name for a in schema if a.name in untrained]
        print_log(
            f'{", ".join(names)}: without a label in the training data, left '
            'out of the predictions',
            logger='current',
            level=logging.WARNING,
        )
    if not kept:
        return None, None
    attributes, parts = zip(*kept)
    return AttributeSchema(attributes), np.concatenate(parts)
