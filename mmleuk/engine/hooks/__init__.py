# Copyright (c) mmleuk authors. All rights reserved.
from .loss_guard_hook import LossGuardHook
from .region_mining_hook import RegionMiningHook
from .type_profile_hook import TypeProfileHook
from .visualization_hook import LLDVisualizationHook

__all__ = [
    'LLDVisualizationHook',
    'LossGuardHook',
    'RegionMiningHook',
    'TypeProfileHook',
]
