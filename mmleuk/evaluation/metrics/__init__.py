# Copyright (c) mmleuk authors. All rights reserved.
from .lld_metric import LLDMetric

__all__ = ['LLDMetric']
