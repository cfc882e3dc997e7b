# Copyright (c) mmleuk authors. All rights reserved.
"""Offer hostile checkpoints to all that loads one, and see what runs.

Each payload makes a folder where it runs. A trial passes if the file is
refused and no folder is there. That the payload works is shown first, by
loading the file without any check.
"""

import functools
import importlib
import operator
import os
import pickle
import subprocess
import threading
from contextlib import (
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import load_checkpoint as load_into_model
from torch import nn

from mmleuk.engine.checkpoint_loaders import load_checkpoints_safely
from mmleuk.engine.checkpoint_metadata import load_whole_checkpoint

from .lld_inferencer import LLDInferencer

# Where a payload leaves its mark, relative to the working folder.
MARK = 'payload-ran'
PARTS = ('state_dict', 'meta', 'optimizer', 'message_hub')
GOOD = 'a good checkpoint'


@dataclass(frozen=True)
class TrialResult:
    """What came of offering one file to one loader.

    Args:
        file (str): What is in the file.
        loader (str): What was to load it.
        problem (str): What is wrong with the outcome, empty if nothing is.
    """

    file: str
    loader: str
    problem: str = ''


class Call:
    """Pickles as a call.

    Args:
        function (Callable): What is called when the pickle is loaded.
        arguments (Any): Its arguments.
    """

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> Tuple[Callable, tuple]:
        return self.function, self.arguments

    def __call__(self) -> None:
        """Be callable, which pickle asks of the function of a call."""


def _code() -> str:
    return f'__import__("os").mkdir({MARK!r})'


def _nested() -> bytes:
    """Save a payload as torch does, for what loads it in its turn."""
    stream = BytesIO()
    torch.save(Call(os.mkdir, MARK), stream)
    return stream.getvalue()


def _bound_method() -> Call:
    """Reach the global names of a method that a checkpoint may name."""
    method = Call(getattr, HistoryBuffer, 'mean')
    builtins = Call(
        operator.getitem, Call(getattr, method, '__globals__'), '__builtins__'
    )
    return Call(Call(operator.getitem, builtins, 'eval'), _code())


# What a hostile file holds.
PAYLOADS: Dict[str, Callable[[], Any]] = {
    'os.mkdir': lambda: Call(os.mkdir, MARK),
    'os.system': lambda: Call(os.system, f'mkdir {MARK}'),
    'subprocess.check_call': lambda: Call(
        subprocess.check_call, ['mkdir', MARK]
    ),
    'eval': lambda: Call(eval, _code()),
    'exec': lambda: Call(exec, _code()),
    'a method by getattr': lambda: Call(
        Call(getattr, Call(importlib.import_module, 'os'), 'mkdir'), MARK
    ),
    'the globals of an allowed method': _bound_method,
    'operator.methodcaller': lambda: Call(
        Call(operator.methodcaller, 'mkdir', MARK),
        Call(importlib.import_module, 'os'),
    ),
    'functools.partial': lambda: Call(Call(functools.partial, os.mkdir), MARK),
    'an array of objects': lambda: np.array(
        [Call(os.mkdir, MARK)], dtype=object
    ),
    'a checkpoint in a checkpoint': lambda: Call(
        torch.storage._load_from_bytes, _nested()
    ),
    'a pickle in a pickle': lambda: Call(
        pickle.loads, pickle.dumps(Call(os.mkdir, MARK))
    ),
}


class _Data(BaseDataset):
    def load_data_list(self) -> List[dict]:
        return [dict(value=1.0)]

    def prepare_data(self, idx: int) -> torch.Tensor:
        return torch.ones(1)


class _Model(BaseModel):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.linear = nn.Linear(1, 1)

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = 'tensor'
    ) -> Dict[str, torch.Tensor]:
        return dict(loss=self.linear(torch.ones(1, 1)).sum())


def _build_runner(folder: Path) -> Runner:
    runner = Runner(
        _Model(),
        str(folder / 'runner'),
        train_dataloader=dict(
            dataset=_Data(lazy_init=False),
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None),
        log_level='ERROR',
        experiment_name=f'checkpoint-trials-{id(folder)}',
    )
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return runner


def _good_checkpoint(runner: Runner) -> dict:
    """Build what MMEngine's runner writes."""
    history = HistoryBuffer()
    history.update(np.float64(0.5))
    return dict(
        meta=dict(
            epoch=1,
            iter=1,
            experiment_name='good',
            seed=0,
            dataset_meta=dict(classes=('blast',), attributes=[]),
            hook_msgs=dict(best_score=np.float32(0.5)),
        ),
        state_dict=runner.model.state_dict(),
        optimizer=runner.optim_wrapper.state_dict(),
        message_hub=dict(
            log_scalars={'train/loss': history},
            runtime_info=dict(best_score=np.float64(0.5)),
            resumed_keys={},
        ),
        param_schedulers=[],
    )


def _write_files(good: dict, folder: Path) -> Dict[str, Path]:
    """Write the hostile files.

    Returns:
        dict[str, Path]: Files by what is in them.
    """
    files = {}

    def add(name: str) -> Path:
        files[name] = folder / f'{len(files)}.pth'
        return files[name]

    for name, build in PAYLOADS.items():
        content = {**good, 'state_dict': dict(weight=build())}
        torch.save(content, add(f'{name}, in state_dict'))
    for part in PARTS[1:]:
        content = {**good, part: dict(good[part], extra=Call(os.mkdir, MARK))}
        torch.save(content, add(f'os.mkdir, in {part}'))
    content = {**good, 'meta': Call(os.mkdir, MARK)}
    torch.save(
        content,
        add("os.mkdir, in torch's old format"),
        _use_new_zipfile_serialization=False,
    )
    add('os.mkdir, in a bare pickle').write_bytes(pickle.dumps(content))
    return files


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve a folder on this computer.

    Yields:
        str: The address.
    """

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
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


def _loaders(runner: Runner, address: str) -> Dict[str, Callable[[Path], Any]]:
    """List all that loads a checkpoint.

    Args:
        runner (Runner): A runner to load into.
        address (str): Where the folder of the files is served.

    Returns:
        dict[str, Callable]: Functions of the file by the name for people.
    """

    def initialise(place: str) -> None:
        init_cfg = dict(type='Pretrained', checkpoint=place)
        _Model(init_cfg=init_cfg).init_weights()

    def infer(path: Path) -> None:
        LLDInferencer(weights=str(path), device='cpu')

    return {
        'load_from, tools/test.py': lambda p: runner.load_checkpoint(str(p)),
        'resume': lambda p: runner.resume(str(p)),
        'init_cfg': lambda p: initialise(str(p)),
        'load_from an address': lambda p: runner.load_checkpoint(
            f'{address}/{p.name}'
        ),
        'init_cfg of an address': lambda p: initialise(f'{address}/{p.name}'),
        "MMDetection's init_detector": lambda p: load_into_model(
            runner.model, str(p), map_location='cpu'
        ),
        'calibrate.py, plot_results.py': load_whole_checkpoint,
        'LLDInferencer, image_demo.py': infer,
    }


def _ran() -> bool:
    """Tell whether a payload has run, and remove its mark."""
    if os.path.isdir(MARK):
        os.rmdir(MARK)
        return True
    return False


def _offer(load: Callable[[Path], Any], path: Path) -> str:
    """Offer a hostile file.

    Returns:
        str: What is wrong with what came of it.
    """
    try:
        load(path)
    except (pickle.UnpicklingError, ValueError) as error:
        refused = path.name in str(error)
        problem = '' if refused else f'the message names no file: {error}'
    except Exception as error:  # noqa: BLE001, whatever it is, it came later
        problem = f'it was loaded, and then failed: {error!r}'
    else:
        problem = 'it was loaded'
    return 'ITS CODE RAN' if _ran() else problem


def _accept(load: Callable[[Path], Any], path: Path) -> str:
    """Offer the good file.

    Returns:
        str: What is wrong with what came of it.
    """
    try:
        load(path)
    except ValueError as error:
        # The inferencer reads the whole file, and then asks for a config.
        return '' if 'holds no config' in str(error) else str(error)
    except pickle.UnpicklingError as error:
        return str(error)
    return ''


def run_trials(folder: Path) -> List[TrialResult]:
    """Offer every file to every loader.

    Args:
        folder (Path): An empty folder to work in.

    Returns:
        list[TrialResult]: One an attempt.

    Raises:
        AssertionError: If a payload doesn't run even where nothing checks it.
    """
    load_checkpoints_safely()
    served = folder / 'files'
    served.mkdir()
    before, hub = os.getcwd(), torch.hub.get_dir()
    os.chdir(folder)
    torch.hub.set_dir(str(folder / 'downloads'))
    silence = StringIO()
    try:
        with redirect_stdout(silence), redirect_stderr(silence):
            return _try_all(folder, served)
    finally:
        os.chdir(before)
        torch.hub.set_dir(hub)


def _try_all(folder: Path, served: Path) -> List[TrialResult]:
    """Write the files into a folder that is served, and offer them."""
    results = []
    runner = _build_runner(folder)
    good = _good_checkpoint(runner)
    files = _write_files(good, served)
    torch.save(good, served / 'good.pth')
    with serve_folder(served) as address:
        loaders = _loaders(runner, address)
        for loader, load in loaders.items():
            problem = _accept(load, served / 'good.pth')
            results.append(TrialResult(GOOD, loader, problem))
        for name, path in files.items():
            with suppress(RuntimeError):  # A bare pickle is no checkpoint.
                torch.load(path, weights_only=False)
            assert _ran(), f'{name} runs nothing'
            for loader, load in loaders.items():
                problem = _offer(load, path)
                results.append(TrialResult(name, loader, problem))
    return results
