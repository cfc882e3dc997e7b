# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_branches import AttributeBranchesMixin
from .attribute_fields import attribute_fields
from .jitter_boxes import check_jitter, jitter_boxes
from .region_support import UnawareHead, heads_without_regions
from .training_progress import training_progress

__all__ = [
    'AttributeBranchesMixin',
    'UnawareHead',
    'attribute_fields',
    'check_jitter',
    'heads_without_regions',
    'jitter_boxes',
    'training_progress',
]
