# Copyright (c) mmleuk authors. All rights reserved.
from .base_reader import BaseReader
from .detect_format import READERS, detect_format
from .lld_json import JsonReader, SparseJsonReader
from .sparse_text import REGION_ORDERS, SparseTextReader
from .yolo_text import YoloTextReader

__all__ = [
    'READERS',
    'REGION_ORDERS',
    'BaseReader',
    'JsonReader',
    'SparseJsonReader',
    'SparseTextReader',
    'YoloTextReader',
    'detect_format',
]
