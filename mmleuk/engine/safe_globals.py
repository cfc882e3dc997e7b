# Copyright (c) mmleuk authors. All rights reserved.
"""Classes that a checkpoint of MMEngine's runner may hold."""

from pickle import UnpicklingError
from typing import Any, Callable, List, Tuple

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

# The methods that every HistoryBuffer writes into a checkpoint.
STATISTICS = ('min', 'max', 'current', 'mean')
# Plain numbers; arrays of objects are not allowed.
NUMPY_TYPES = '?bBhHiIlLqQefdFD'


def allow_own_checkpoints() -> None:
    """Let ``torch.load`` read the checkpoints that MMEngine's runner writes.

    torch >= 2.6 refuses every class in a checkpoint that it was not told of.
    MMEngine 0.10.7 tells it of none, so its runner can't load its own
    checkpoints: they hold numpy arrays and a ``HistoryBuffer`` in the history
    of the losses, and a ``ConfigDict`` in the metainfo of the dataset. These,
    and nothing more, are allowed here, for the rest of the process.

    A ``HistoryBuffer`` is saved with four of its methods, which a pickle can
    only name through ``getattr``. With ``getattr`` a file could reach
    anything, so a function takes its place that returns these four methods
    alone.

    A second call changes nothing. Does nothing with torch < 2.5.
    """
    if hasattr(torch.serialization, 'safe_globals'):
        torch.serialization.add_safe_globals(_own_globals())


def _own_globals() -> List[Tuple[Callable, str]]:
    """List functions and classes, each with its name in a checkpoint."""
    allowed = [
        (_statistics_method, 'builtins.getattr'),
        (HistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (ConfigDict, 'mmengine.config.config.ConfigDict'),
        (np.ndarray, 'numpy.ndarray'),
        (np.dtype, 'numpy.dtype'),
    ]
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    # Under both names: numpy 2 reads files of numpy 1, and the reverse.
    for package in ('numpy.core', 'numpy._core'):
        allowed.append((reconstruct, f'{package}.multiarray._reconstruct'))
        allowed.append((scalar, f'{package}.multiarray.scalar'))
    for code in NUMPY_TYPES:
        # No file names it, but torch asks for the class of a dtype before a
        # file may set its byte order.
        dtype = type(np.dtype(code))
        allowed.append((dtype, f'{dtype.__module__}.{dtype.__qualname__}'))
    return allowed


def _statistics_method(owner: Any, name: Any) -> Callable:
    """Return a statistics method of ``HistoryBuffer``, refuse all others."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError(
            f'the checkpoint asks for the attribute {name!r} of {owner!r}, '
            f'expected one of {STATISTICS} of {HistoryBuffer!r}: it was not '
            "written by MMEngine's runner and may run any code; load it "
            'only if you trust who made it'
        )
    return getattr(HistoryBuffer, name)
