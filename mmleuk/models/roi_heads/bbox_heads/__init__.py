# Copyright (c) mmleuk authors. All rights reserved.
from .region_bbox_heads import RegionShared2FCBBoxHead

__all__ = ['RegionShared2FCBBoxHead']
