# Copyright (c) mmleuk authors. All rights reserved.
from .early_feature_neck import EarlyFeatureNeck, FeaturePyramid

__all__ = ['EarlyFeatureNeck', 'FeaturePyramid']
