# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_soft_teacher import AttributeSoftTeacher
from .region_mining_detector import RegionMiningDetector
from .sla_det import SLADet

__all__ = ['AttributeSoftTeacher', 'RegionMiningDetector', 'SLADet']
