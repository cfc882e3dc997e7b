# Copyright (c) mmleuk authors. All rights reserved.
from .region_mining_hook import RegionMiningHook
from .type_profile_hook import TypeProfileHook

__all__ = ['RegionMiningHook', 'TypeProfileHook']
