# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_fields import attribute_fields
from .training_progress import training_progress

__all__ = ['attribute_fields', 'training_progress']
