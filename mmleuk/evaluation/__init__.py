# Copyright (c) mmleuk authors. All rights reserved.
from .metrics import LLDMetric

__all__ = ['LLDMetric']
