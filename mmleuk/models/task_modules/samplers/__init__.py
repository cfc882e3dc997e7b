# Copyright (c) mmleuk authors. All rights reserved.
from .sparse_region_pseudo_sampler import SparseRegionPseudoSampler
from .sparse_region_sampler import SparseRegionSampler

__all__ = ['SparseRegionPseudoSampler', 'SparseRegionSampler']
