# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_heads import *  # noqa: F401,F403
from .attribute_roi_head import AttributeRoIHead, CascadeAttributeRoIHead
from .bbox_heads import *  # noqa: F401,F403
from .roi_extractors import *  # noqa: F401,F403

__all__ = ['AttributeRoIHead', 'CascadeAttributeRoIHead']
