# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_fields import attribute_fields

__all__ = ['attribute_fields']
