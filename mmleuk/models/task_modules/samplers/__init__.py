# Copyright (c) mmleuk authors. All rights reserved.
from .sparse_region_sampler import SparseRegionSampler

__all__ = ['SparseRegionSampler']
