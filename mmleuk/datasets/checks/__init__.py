# Copyright (c) mmleuk authors. All rights reserved.
from .examine import Source, examine, find_sources
from .fault_trials import TRIALS, TrialResult, run_trials
from .faulty_dataset import FaultyDataset
from .image_checks import ImageCheck, check_images
from .quiet_log import quiet_log
from .report import DataReport, FaultCount, SourceReport

__all__ = [
    'TRIALS',
    'DataReport',
    'FaultCount',
    'ImageCheck',
    'Source',
    'SourceReport',
    'FaultyDataset',
    'TrialResult',
    'check_images',
    'examine',
    'find_sources',
    'quiet_log',
    'run_trials',
]
