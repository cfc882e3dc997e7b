# Copyright (c) mmleuk authors. All rights reserved.
import sys
from contextlib import redirect_stdout

# The `onedl` fork prints, when it is imported, that a package of its makers is
# missing: not into what a tool writes to be read by machines.
with redirect_stdout(sys.stderr):
    import mmdet.datasets  # noqa: F401

from . import transforms  # noqa: E402
from .lld import LLDDataset  # noqa: E402
from .metainfo import (  # noqa: E402
    LLD_CLASSES,
    LLD_METAINFO,
    LLD_PALETTE,
)

__all__ = [
    'LLD_CLASSES',
    'LLD_METAINFO',
    'LLD_PALETTE',
    'LLDDataset',
    'transforms',
]
