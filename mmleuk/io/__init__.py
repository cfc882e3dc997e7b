# Copyright (c) mmleuk authors. All rights reserved.
from .conversion_report import ConversionError, ConversionReport
from .convert import (
    SOURCE_FORMATS,
    TARGET_FORMATS,
    ReadSettings,
    convert,
    read_fields,
)
from .label_setup import make_cvat_labels, make_label_studio_config

__all__ = [
    'SOURCE_FORMATS',
    'TARGET_FORMATS',
    'ConversionError',
    'ReadSettings',
    'ConversionReport',
    'convert',
    'make_cvat_labels',
    'make_label_studio_config',
    'read_fields',
]
