# Copyright (c) mmleuk authors. All rights reserved.
from .formatting import PackLLDInputs
from .loading import LoadLLDAnnotations

__all__ = ['LoadLLDAnnotations', 'PackLLDInputs']
