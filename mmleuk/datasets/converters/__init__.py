# Copyright (c) mmleuk authors. All rights reserved.
from .convert import (
    SOURCE_FORMATS,
    TARGET_FORMATS,
    ReadSettings,
    convert,
    read_fields,
)
from .label_setup import make_cvat_labels, make_label_studio_config
from .tally import ConversionError, Tally

__all__ = [
    'SOURCE_FORMATS',
    'TARGET_FORMATS',
    'ConversionError',
    'ReadSettings',
    'Tally',
    'convert',
    'make_cvat_labels',
    'make_label_studio_config',
    'read_fields',
]
