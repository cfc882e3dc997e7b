# Copyright (c) mmleuk authors. All rights reserved.
from .background_rule import BackgroundRule
from .region_assigner import RegionAssigner
from .region_max_iou_assigner import RegionMaxIoUAssigner

__all__ = ['BackgroundRule', 'RegionAssigner', 'RegionMaxIoUAssigner']
