# Copyright (c) mmleuk authors. All rights reserved.
from .local_visualizer import LLDLocalVisualizer
from .plotting import load_pyplot

__all__ = ['LLDLocalVisualizer', 'load_pyplot']
