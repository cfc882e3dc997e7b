# Copyright (c) mmleuk authors. All rights reserved.
from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import FAULTS, OUTCOMES, Fault, Outcome, fault_table
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.issue_log import IssueLog
from mmleuk.structures.record import CellRecord, FieldRecord, normalise_name

from .base_reader import BaseReader
from .detect_format import READERS, detect_format
from .lld_json import JsonReader, SparseJsonReader
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
    'IssueLog',
    'Outcome',
    'SparseJsonReader',
    'SparseTextReader',
    'YoloTextReader',
    'detect_format',
    'fault_table',
    'normalise_name',
]
