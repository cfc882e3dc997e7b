# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_detectors import (
    AttributeATSS,
    AttributeDeformableDETR,
    AttributeDetectorMixin,
    AttributeDINO,
    AttributeFCOS,
    AttributeGFL,
    AttributeRetinaNet,
    AttributeRTMDet,
    AttributeTOOD,
    AttributeYOLOX,
)
from .attribute_soft_teacher import AttributeSoftTeacher
from .region_mining_detector import RegionMiningDetector
from .sla_det import SLADet

__all__ = [
    'AttributeATSS',
    'AttributeDINO',
    'AttributeDeformableDETR',
    'AttributeDetectorMixin',
    'AttributeFCOS',
    'AttributeGFL',
    'AttributeRTMDet',
    'AttributeRetinaNet',
    'AttributeSoftTeacher',
    'AttributeTOOD',
    'AttributeYOLOX',
    'RegionMiningDetector',
    'SLADet',
]
