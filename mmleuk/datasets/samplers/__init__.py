# Copyright (c) mmleuk authors. All rights reserved.
from .epoch_multi_source_sampler import EpochMultiSourceSampler

__all__ = ['EpochMultiSourceSampler']
