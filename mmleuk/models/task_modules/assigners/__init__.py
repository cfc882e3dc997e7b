# Copyright (c) mmleuk authors. All rights reserved.
from .region_max_iou_assigner import RegionMaxIoUAssigner

__all__ = ['RegionMaxIoUAssigner']
