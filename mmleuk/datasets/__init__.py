# Copyright (c) mmleuk authors. All rights reserved.
from . import transforms
from .lld import LLDDataset
from .metainfo import LLD_CLASSES, LLD_METAINFO, LLD_PALETTE

__all__ = [
    'LLD_CLASSES',
    'LLD_METAINFO',
    'LLD_PALETTE',
    'LLDDataset',
    'transforms',
]
