# Copyright (c) mmleuk authors. All rights reserved.
from .base_reader import BaseReader
from .detect_format import READERS, detect_format
from .image_folder import ImageFolder
from .lld_json import JsonReader
from .mending import MendLog
from .record import AnnotationError, CellRecord, FieldRecord, normalise_name
from .sparse_json import SparseJsonReader
from .sparse_text import REGION_ORDERS, SparseTextReader
from .yolo_text import YoloTextReader

__all__ = [
    'READERS',
    'REGION_ORDERS',
    'AnnotationError',
    'BaseReader',
    'CellRecord',
    'FieldRecord',
    'ImageFolder',
    'JsonReader',
    'MendLog',
    'SparseJsonReader',
    'SparseTextReader',
    'YoloTextReader',
    'detect_format',
    'normalise_name',
]
