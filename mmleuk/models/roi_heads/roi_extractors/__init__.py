# Copyright (c) mmleuk authors. All rights reserved.
from .bf16_extractors import BF16GenericRoIExtractor, BF16SingleRoIExtractor

__all__ = ['BF16GenericRoIExtractor', 'BF16SingleRoIExtractor']
