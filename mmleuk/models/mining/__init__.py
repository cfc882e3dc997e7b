# Copyright (c) mmleuk authors. All rights reserved.
from .calibrator import ScoreCalibrator
from .detection_bank import DetectionBank
from .region_miner import RegionMiner

__all__ = ['DetectionBank', 'RegionMiner', 'ScoreCalibrator']
