# Copyright (c) mmleuk authors. All rights reserved.
from .examine import Source, examine, find_sources
from .image_checks import ImageCheck, check_images, load_image
from .quiet_log import quiet_log
from .report import DataReport, FaultCount, SourceReport

__all__ = [
    'DataReport',
    'FaultCount',
    'ImageCheck',
    'Source',
    'SourceReport',
    'check_images',
    'examine',
    'find_sources',
    'load_image',
    'quiet_log',
]
