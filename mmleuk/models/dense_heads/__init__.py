# Copyright (c) mmleuk authors. All rights reserved.
from .bf16_rpn_head import BF16RPNHead
from .region_detr_heads import (
    RegionConditionalDETRHead,
    RegionDABDETRHead,
    RegionDeformableDETRHead,
    RegionDETRHead,
    RegionDINOHead,
)
from .region_fcos_head import RegionFCOSHead
from .region_yolox_head import RegionYOLOXHead

__all__ = [
    'BF16RPNHead',
    'RegionConditionalDETRHead',
    'RegionDABDETRHead',
    'RegionDETRHead',
    'RegionDINOHead',
    'RegionDeformableDETRHead',
    'RegionFCOSHead',
    'RegionYOLOXHead',
]
