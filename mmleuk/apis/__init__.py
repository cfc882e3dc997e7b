# Copyright (c) mmleuk authors. All rights reserved.
from .lld_inferencer import LLDInferencer
from .tiling import Tiling
from .window_readers import UnreadableImageError, WindowReader

__all__ = ['LLDInferencer', 'Tiling', 'UnreadableImageError', 'WindowReader']
