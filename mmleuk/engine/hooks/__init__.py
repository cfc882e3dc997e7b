# Copyright (c) mmleuk authors. All rights reserved.
from .region_mining_hook import RegionMiningHook
from .type_profile_hook import TypeProfileHook
from .visualization_hook import LLDVisualizationHook

__all__ = ['LLDVisualizationHook', 'RegionMiningHook', 'TypeProfileHook']
