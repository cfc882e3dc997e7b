# Copyright (c) mmleuk authors. All rights reserved.
from pickle import UnpicklingError
from typing import Any, Callable, List, Tuple

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

# The methods that every HistoryBuffer writes into a checkpoint.
STATISTICS = ('min', 'max', 'current', 'mean')
# Plain numbers; arrays of objects stay out.
NUMPY_TYPES = '?bBhHiIlLqQefdFD'


def allow_own_checkpoints() -> None:
    """Let ``torch.load`` read the checkpoints that MMEngine's runner writes.

    From version 2.6 on, torch refuses every class in a checkpoint that it was
    not told of. MMEngine 0.10.7 tells it of none, so its runner can neither
    load nor resume what it saved itself: in the history of the losses lie
    numpy arrays and a ``HistoryBuffer``, in the metainfo of a dataset
    ``ConfigDict``.

    These, and nothing more, are allowed here, for the rest of the process.
    The check of torch stays on: a file that asks for anything else is refused
    as before. One entry needs care. A ``HistoryBuffer`` is saved with four of
    its methods, which a pickle can only name through ``getattr``. To allow
    that one itself would let a file reach anything, so the name is answered
    by a function that knows those four methods alone.

    Call it once, before a checkpoint is loaded. A second call changes
    nothing, and torch before 2.6, which reads all by default, needs none.
    """
    if not hasattr(torch.serialization, 'safe_globals'):
        return
    torch.serialization.add_safe_globals(_own_globals())


def _own_globals() -> List[Tuple[Callable, str]]:
    """List what a checkpoint of MMEngine's runner may name.

    Returns:
        list[tuple]: Each a function or class and the name it has in the file.
    """
    reconstruct, scalar = _numpy_functions()
    allowed = [
        (_statistics_method, 'builtins.getattr'),
        (HistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (ConfigDict, 'mmengine.config.config.ConfigDict'),
        (np.ndarray, 'numpy.ndarray'),
        (np.dtype, 'numpy.dtype'),
    ]
    # Under both names: a file of numpy 1 can be read with numpy 2 and back.
    for package in ('numpy.core', 'numpy._core'):
        allowed.append((reconstruct, f'{package}.multiarray._reconstruct'))
        allowed.append((scalar, f'{package}.multiarray.scalar'))
    for code in NUMPY_TYPES:
        # Never named in a file, but torch asks for the class of a dtype
        # before it lets a file set its byte order.
        dtype = type(np.dtype(code))
        allowed.append((dtype, f'{dtype.__module__}.{dtype.__qualname__}'))
    return allowed


def _numpy_functions() -> Tuple[Callable, Callable]:
    """Take from numpy the functions that it rebuilds arrays and scalars by.

    Returns:
        tuple: ``_reconstruct`` and ``scalar``, which lie in modules that
        differ between numpy 1 and 2.
    """
    return np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]


def _statistics_method(owner: Any, name: Any) -> Callable:
    """Stand for ``getattr`` in a checkpoint.

    Args:
        owner (Any): What the file takes an attribute of.
        name (Any): The attribute.

    Returns:
        Callable: A statistics method of ``HistoryBuffer``.

    Raises:
        UnpicklingError: If the file asks for anything else.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError(
            f'the checkpoint asks for the attribute {name!r} of {owner!r}, '
            f'expected one of {STATISTICS} of {HistoryBuffer!r}: it was not '
            "written by MMEngine's runner and may run any code; load it "
            'only if you trust who made it'
        )
    return getattr(HistoryBuffer, name)
