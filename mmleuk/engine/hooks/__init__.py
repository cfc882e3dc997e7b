# Copyright (c) mmleuk authors. All rights reserved.
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .epoch_mean_teacher_hook import EpochMeanTeacherHook
from .epoch_seed_hook import EpochSeedHook
from .inner_pipeline_switch_hook import InnerPipelineSwitchHook
from .loss_guard_hook import LossGuardHook
from .region_mining_hook import RegionMiningHook
from .schema_check_hook import SchemaCheckHook
from .type_profile_hook import TypeProfileHook
from .visualization_hook import LLDVisualizationHook

__all__ = [
    'AtomicCheckpointHook',
    'EpochMeanTeacherHook',
    'EpochSeedHook',
    'InnerPipelineSwitchHook',
    'LLDVisualizationHook',
    'LossGuardHook',
    'RegionMiningHook',
    'SchemaCheckHook',
    'TypeProfileHook',
]
