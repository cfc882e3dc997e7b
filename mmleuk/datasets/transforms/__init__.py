# Copyright (c) mmleuk authors. All rights reserved.
from .formatting import PackLLDInputs
from .hold_out_regions import HoldOutRegions
from .loading import LoadLLDAnnotations
from .random_transpose import RandomTranspose
from .region_crop import RegionCrop
from .region_mosaic import CachedRegionMosaic
from .unsqueeze_resize import UnsqueezeResize

__all__ = [
    'CachedRegionMosaic',
    'HoldOutRegions',
    'LoadLLDAnnotations',
    'PackLLDInputs',
    'RandomTranspose',
    'RegionCrop',
    'UnsqueezeResize',
]
