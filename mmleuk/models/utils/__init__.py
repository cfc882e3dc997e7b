# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_branches import AttributeBranchesMixin
from .attribute_fields import attribute_fields
from .region_support import UnawareHead, heads_without_regions
from .training_progress import training_progress

__all__ = [
    'AttributeBranchesMixin',
    'UnawareHead',
    'attribute_fields',
    'heads_without_regions',
    'training_progress',
]
