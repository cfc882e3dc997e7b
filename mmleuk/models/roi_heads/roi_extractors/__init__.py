# Copyright (c) mmleuk authors. All rights reserved.
from .robust_extractors import (
    RobustGenericRoIExtractor,
    RobustSingleRoIExtractor,
)

__all__ = ['RobustGenericRoIExtractor', 'RobustSingleRoIExtractor']
