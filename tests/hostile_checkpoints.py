# Copyright (c) mmleuk authors. All rights reserved.
"""Checkpoints that run code where nothing checks them."""

import functools
import importlib
import operator
import os
import pickle
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# The folder that each payload makes, relative to the working directory.
MARK = 'payload-ran'
CODE = f'__import__("os").mkdir({MARK!r})'


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.function = function
        self.arguments = arguments

    def __reduce__(self):
        return self.function, self.arguments

    def __call__(self):
        """Makes it callable, as pickle requires of a function."""


def _bound_method():
    """Reach the globals of a method that a checkpoint may name."""
    method = Call(getattr, HistoryBuffer, 'mean')
    builtins = Call(
        operator.getitem, Call(getattr, method, '__globals__'), '__builtins__'
    )
    return Call(Call(operator.getitem, builtins, 'eval'), CODE)


def _nested():
    stream = BytesIO()
    torch.save(Call(os.mkdir, MARK), stream)
    return Call(torch.storage._load_from_bytes, stream.getvalue())


PAYLOADS = {
    'os.mkdir': Call(os.mkdir, MARK),
    'os.system': Call(os.system, f'mkdir {MARK}'),
    'subprocess.check_call': Call(subprocess.check_call, ['mkdir', MARK]),
    'eval': Call(eval, CODE),
    'exec': Call(exec, CODE),
    'a method by getattr': Call(
        Call(getattr, Call(importlib.import_module, 'os'), 'mkdir'), MARK
    ),
    'the globals of an allowed method': _bound_method(),
    'operator.methodcaller': Call(
        Call(operator.methodcaller, 'mkdir', MARK),
        Call(importlib.import_module, 'os'),
    ),
    'functools.partial': Call(Call(functools.partial, os.mkdir), MARK),
    'an array of objects': np.array([Call(os.mkdir, MARK)], dtype=object),
    'a checkpoint in a checkpoint': _nested(),
    'a pickle in a pickle': Call(
        pickle.loads, pickle.dumps(Call(os.mkdir, MARK))
    ),
}
PARTS = ('meta', 'optimizer', 'message_hub')
FILES = [
    *(f'{name}, in state_dict' for name in PAYLOADS),
    *(f'os.mkdir, in {part}' for part in PARTS),
    "os.mkdir, in torch's old format",
    'os.mkdir, in a bare pickle',
]


def write_hostile_files(good, folder):
    """Write one file for each of FILES, numbered in their order."""
    mkdir = PAYLOADS['os.mkdir']
    contents = [
        *(
            {**good, 'state_dict': dict(weight=payload)}
            for payload in PAYLOADS.values()
        ),
        *({**good, part: dict(good[part], extra=mkdir)} for part in PARTS),
        {**good, 'meta': mkdir},
    ]
    for number, content in enumerate(contents):
        is_old = number == FILES.index("os.mkdir, in torch's old format")
        torch.save(
            content,
            folder / f'{number}.pth',
            _use_new_zipfile_serialization=not is_old,
        )
    bare = folder / f'{len(contents)}.pth'
    bare.write_bytes(pickle.dumps(contents[-1]))


def payload_ran():
    """Tell whether a payload has run, and remove its mark."""
    ran = os.path.isdir(MARK)
    if ran:
        os.rmdir(MARK)
    return ran


@contextmanager
def serve_folder(folder):
    """Serve a folder on this computer; gives its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            """Print nothing."""

    server = ThreadingHTTPServer(
        ('127.0.0.1', 0), partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
