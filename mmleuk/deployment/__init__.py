# Copyright (c) mmleuk authors. All rights reserved.
"""Run a trained detector without PyTorch's model code.

``export.py`` is not imported here: running a graph needs no exporter.
"""

from .agreement import Agreement
from .onnx_detector import OnnxDetector

__all__ = ['Agreement', 'OnnxDetector']
