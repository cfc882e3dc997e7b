# Copyright (c) mmleuk authors. All rights reserved.
from .camera_jitter import CameraJitter
from .formatting import PackLLDInputs
from .hold_out_regions import HoldOutRegions
from .loading import LoadLLDAnnotations
from .random_transpose import RandomTranspose
from .region_crop import RegionCrop
from .region_mosaic import CachedRegionMosaic
from .stain_jitter import StainJitter
from .unsqueeze_resize import UnsqueezeResize

__all__ = [
    'CachedRegionMosaic',
    'CameraJitter',
    'HoldOutRegions',
    'LoadLLDAnnotations',
    'PackLLDInputs',
    'RandomTranspose',
    'RegionCrop',
    'StainJitter',
    'UnsqueezeResize',
]
