# Copyright (c) mmleuk authors. All rights reserved.
from .region_mining_hook import RegionMiningHook

__all__ = ['RegionMiningHook']
