# Copyright (c) mmleuk authors. All rights reserved.
from .early_feature_neck import EarlyFeatureNeck, FeaturePyramid
from .simple_feature_pyramid import SimpleFPN

__all__ = ['EarlyFeatureNeck', 'FeaturePyramid', 'SimpleFPN']
