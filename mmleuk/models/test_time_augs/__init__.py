# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_tta import AttributeTTAModel

__all__ = ['AttributeTTAModel']
