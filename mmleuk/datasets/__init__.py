# Copyright (c) mmleuk authors. All rights reserved.
import sys
from contextlib import redirect_stdout

# The `onedl` fork prints, when it is imported, that a package of its makers is
# missing: not into what a tool writes to be read by machines.
with redirect_stdout(sys.stderr):
    import mmdet.datasets  # noqa: F401

from mmleuk.structures.metainfo import LLD_CLASSES, LLD_METAINFO, LLD_PALETTE  # noqa: E402

from . import samplers, transforms  # noqa: E402
from .joint import JointDataset  # noqa: E402
from .lld import LLDDataset  # noqa: E402

__all__ = [
    'JointDataset',
    'LLD_CLASSES',
    'LLD_METAINFO',
    'LLD_PALETTE',
    'LLDDataset',
    'samplers',
    'transforms',
]
