# Copyright (c) mmleuk authors. All rights reserved.
from .base_reader import BaseReader
from .detect_format import READERS, detect_format
from .faults import FAULTS, OUTCOMES, Fault, Outcome, fault_table
from .image_folder import ImageFolder
from .lld_json import JsonReader
from .mending import MendLog
from .record import AnnotationError, CellRecord, FieldRecord, normalise_name
from .sparse_json import SparseJsonReader
from .sparse_text import REGION_ORDERS, SparseTextReader
from .yolo_text import YoloTextReader

__all__ = [
    'FAULTS',
    'OUTCOMES',
    'READERS',
    'REGION_ORDERS',
    'AnnotationError',
    'BaseReader',
    'CellRecord',
    'Fault',
    'FieldRecord',
    'ImageFolder',
    'JsonReader',
    'MendLog',
    'Outcome',
    'SparseJsonReader',
    'SparseTextReader',
    'YoloTextReader',
    'detect_format',
    'fault_table',
    'normalise_name',
]
