# Copyright (c) mmleuk authors. All rights reserved.
"""A second device for computers without one.

``with OtherDevice() as device`` offers a device that computes on the CPU, but
as with CUDA its tensors don't mix with those of the CPU, and what makes the
host wait is counted. So the code that runs on CUDA in ``pytest -m cuda`` runs
everywhere.
"""

import contextlib
import sys
import warnings
from typing import Union

import torch
from mmengine.structures import instance_data
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
)
from torch.utils._pytree import tree_flatten, tree_map

# Torch knows this name without any hardware.
OTHER = torch.device('meta')
# What makes the host wait: a value, or a size that depends on values.
WAITING = (
    '_local_scalar_dense',
    'nonzero',
    'unique',
    'masked_select',
    'bincount',
    'equal',
)


class OtherTensor(torch.Tensor):
    """Holds a tensor of the CPU, and says that it is on the other device."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=OTHER,
        )

    def __init__(self, held):
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f'{func}: a tensor left its OtherDevice')

    def new_tensor(self, data, dtype=None, device=OTHER, **kwargs):
        data = torch.tensor(data, dtype=dtype or self.dtype, **kwargs)
        return data.to(device)

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *, force=False):
        if not force:
            raise TypeError('a tensor of the other device has no array')
        return self.detach().cpu().numpy()

    def __array__(self, *args, **kwargs):
        return self.numpy()


def _hold(value):
    return value.held if isinstance(value, OtherTensor) else value


def _wrap(value):
    return OtherTensor(value) if isinstance(value, torch.Tensor) else value


class _CopyNewData(TorchFunctionMode):
    """Makes tensors of Python's numbers on the host first, as CUDA does."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor):
            device = kwargs.pop('device', None)
            out = func(*args, **kwargs)
            return out if device is None else out.to(device)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            tensor, index, *value = args
            parts = index if isinstance(index, tuple) else (index,)
            parts = tuple(
                torch.tensor(part) if isinstance(part, list) else part
                for part in parts
            )
            args = (tensor, parts, *value)
        return func(*args, **kwargs)


class OtherDevice(TorchDispatchMode):
    """Offers the other device while it is active.

    Attributes:
        waits (list[str]): Where the host waited, one place each time.
    """

    def __init__(self):
        super().__init__()
        self.waits = []
        self._patches = []
        self._new_data = _CopyNewData()

    def __enter__(self):
        # The ops of mmcv do not pass torch's dispatcher.
        for name in ('nms', 'roi_align', 'focal_loss'):
            module = sys.modules[f'mmcv.ops.{name}']
            self._patch(module, 'ext_module', _Ops(module.ext_module))
        # MMEngine lists the devices whose tensors may be an index.
        self._patch(
            instance_data,
            'IndexType',
            Union[instance_data.IndexType, OtherTensor],
        )
        super().__enter__()
        self._new_data.__enter__()
        return OTHER

    def __exit__(self, *args):
        self._new_data.__exit__(*args)
        super().__exit__(*args)
        for patch in self._patches:
            setattr(*patch)
        self._patches.clear()

    def _patch(self, module, name, value):
        self._patches.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [
            leaf
            for leaf in tree_flatten((args, kwargs))[0]
            if isinstance(leaf, torch.Tensor)
        ]
        is_here = [isinstance(tensor, OtherTensor) for tensor in tensors]
        if any(t.device == OTHER and not h for t, h in zip(tensors, is_here)):
            raise RuntimeError(f'{func} got a tensor without data')
        goes_here = any(is_here)
        if name in ('_to_copy', 'copy_'):
            source = args[0] if name == '_to_copy' else args[1]
            if name == 'copy_':
                goes_here = isinstance(args[0], OtherTensor)
            elif kwargs.get('device') is not None:
                goes_here = kwargs['device'] == OTHER
            non_blocking = kwargs.get('non_blocking') or args[2:] == (True,)
            if goes_here != isinstance(source, OtherTensor):
                # To the host a copy is of use after a wait alone.
                if not (goes_here and non_blocking):
                    self._note(name)
        elif kwargs.get('device') is not None:
            goes_here = kwargs['device'] == OTHER
        elif any(is_here):
            self._check(func, args, tensors)
            if _is_waiting(name, args):
                self._note(name)
        if 'device' in kwargs and kwargs['device'] is not None:
            kwargs = dict(kwargs, device=torch.device('cpu'))
        held_args, held_kwargs = tree_map(_hold, (args, kwargs))
        out = func(*held_args, **held_kwargs)
        if not goes_here:
            return out
        if func._schema.name.endswith('_'):
            return args[0]
        return tree_map(_wrap, out)

    def _check(self, func, args, tensors):
        """Refuse to mix devices, as CUDA does."""
        # A single number may be on the host, and so may an index.
        may_index = func.overloadpacket.__name__ in ('index', 'index_put_')
        for tensor in tensors:
            if isinstance(tensor, OtherTensor) or tensor.dim() == 0:
                continue
            if may_index and tensor is not args[0]:
                self._note('index from the host')
                continue
            raise RuntimeError(
                f'{func} got tensors of two devices: '
                f'{[(str(t.device), tuple(t.shape)) for t in tensors]}'
            )

    def _note(self, name):
        """Note the innermost line of mmleuk, or else of any other package."""
        places, frame = [], sys._getframe(1)
        while frame is not None:
            file = frame.f_code.co_filename
            if '/torch/' not in file and file != __file__:
                places.append(f'{file}:{frame.f_lineno} ({name})')
            frame = frame.f_back
        own = [place for place in places if '/mmleuk/' in place]
        self.waits.append((own or places)[0])


def _is_waiting(name, args):
    if name == 'index_put_' and args[2].dim() == 0:
        return False
    if name in ('index', 'index_put_'):
        return any(
            index is not None and index.dtype == torch.bool
            for index in args[1]
        )
    return any(name.startswith(word) for word in WAITING)


class _Ops:
    """Compiled ops of mmcv, on the tensors that others hold."""

    def __init__(self, ops):
        self._ops = ops

    def __getattr__(self, name):
        op = getattr(self._ops, name)

        def run(*args, **kwargs):
            is_here = any(
                isinstance(leaf, OtherTensor)
                for leaf in tree_flatten((args, kwargs))[0]
            )
            args, kwargs = tree_map(_hold, (args, kwargs))
            with _disable_current_modes():
                out = op(*args, **kwargs)
            return tree_map(_wrap, out) if is_here else out

        return run


@contextlib.contextmanager
def other_or_cuda(name):
    """Give a device by its name, and the list of places where the host waits.

    Args:
        name (str): 'other' or 'cuda'.

    Yields:
        tuple: The ``torch.device``, and a function that takes no argument and
        returns the places since it was last called.
    """
    if name == 'other':
        mode = OtherDevice()
        with mode as device:

            def take():
                waits, mode.waits = mode.waits, []
                return waits

            yield device, take
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')

        def take():
            waits = [
                f'{item.filename}:{item.lineno}'
                for item in caught
                if 'synchronizing CUDA' in str(item.message)
            ]
            caught.clear()
            return waits

        try:
            yield torch.device('cuda'), take
        finally:
            torch.cuda.set_sync_debug_mode('default')
