# Copyright (c) mmleuk authors. All rights reserved.
"""Checks that torch and the packages of OpenMMLab are here and compatible.

Nothing is imported: versions are read from the ``version.py`` of each
package, so that ``import mmleuk`` stays fast. Two stacks provide the same
modules under different distribution names (``mmcv`` and ``onedl-mmcv``), so
modules are looked up, not distributions. ``tools/dev/setup`` loads this file
by its path, before the package is installed: use the standard library alone,
and syntax that older Pythons can parse. ``check_python``, ``check_torch`` and
``check_stack`` return a sentence on the problem and its fix, or None.
"""

import re
import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

Version = Tuple[int, ...]

MINIMUM_PYTHON = (3, 10)
# Those that mmcv can be built for; from 2.14 on its set-up needs a change,
# which tools/dev/setup makes.
TORCH_RANGE = ((2, 0), (2, 16))
MMENGINE_RANGE = ((0, 10), (1,))
MMDET_RANGE = ((3, 3), (4,))
# MMDetection refuses mmcv 2.2; onedl-mmdetection, numbered from 3.4, needs
# onedl-mmcv, numbered from 2.3.
FIRST_ONEDL_MMDET = (3, 4)
MMCV_RANGE = ((2, 0), (2, 2))
MMCV_RANGE_ONEDL = ((2, 3), (3,))

INSTALL_HINT = 'see docs/installation.md'


class Module(NamedTuple):
    """A module that ``import`` would find.

    Args:
        name (str): Its name.
        folder (Path | None): Its folder; None if it has no files, such as
            the mocks of a documentation tool.
        version (str | None): Its ``__version__``; None if unknown.
    """

    name: str
    folder: Optional[Path]
    version: Optional[str]

    def __str__(self) -> str:
        return f'{self.name} {self.version} ({self.folder})'


def parse_version(text: str) -> Version:
    """Parse the leading numbers of a version.

    Args:
        text (str): E.g. ``'2.13.0+cpu'``.

    Returns:
        tuple[int]: E.g. ``(2, 13, 0)``.

    Raises:
        ValueError: If the text does not begin with a number.
    """
    match = re.match(r'\d+(\.\d+)*', text)
    if match is None:
        raise ValueError(f'got {text!r}, expected a version such as 2.13.0')
    return tuple(int(number) for number in match[0].split('.'))


def find_module(name: str) -> Optional[Module]:
    """Find a top-level module and its version without importing it.

    Args:
        name (str): Name of the module.

    Returns:
        Module | None: The module, None if there is none of this name.
    """
    if name in sys.modules:
        module = sys.modules[name]
        paths = getattr(module, '__path__', None)
        version = getattr(module, '__version__', None)
    else:
        spec = find_spec(name)
        # A folder of that name that holds no package is not the module.
        if spec is None or spec.loader is None or _is_namespace(spec):
            return None
        paths, version = spec.submodule_search_locations, None
    folder = Path(paths[0]) if isinstance(paths, list) and paths else None
    if not isinstance(version, str) and folder is not None:
        # This file of torch and OpenMMLab imports nothing of its package.
        file = folder / 'version.py'
        if file.is_file():
            version = runpy.run_path(str(file)).get('__version__')
    known = isinstance(version, str) and version[:1].isdigit()
    return Module(name, folder, version if known else None)


def _is_namespace(spec: ModuleSpec) -> bool:
    # Since Python 3.11 such a spec has a loader, of a private class.
    paths = spec.submodule_search_locations
    return paths is not None and not isinstance(paths, list)


def _has_compiled_ops(mmcv: Module) -> bool:
    """Tell whether mmcv has its compiled ops, unlike mmcv-lite."""
    if mmcv.folder is None:
        return True
    return PathFinder.find_spec('_ext', [str(mmcv.folder)]) is not None


def _range_text(bounds: Tuple[Version, Version]) -> str:
    return f'>={_dots(bounds[0])},<{_dots(bounds[1])}'


def _outside(module: Module, bounds: Tuple[Version, Version]) -> bool:
    if module.version is None:
        return False
    return not bounds[0] <= parse_version(module.version) < bounds[1]


def check_python() -> Optional[str]:
    """Check the version of Python."""
    if sys.version_info[:2] >= MINIMUM_PYTHON:
        return None
    return (
        f'mmleuk needs Python >= {_dots(MINIMUM_PYTHON)}, this is '
        f'{_dots(sys.version_info[:3])} ({sys.executable}): make an '
        'environment with a newer one (for the scripts: '
        'PYTHON=python3.11 bash tools/check.sh).'
    )


def _dots(version: Version) -> str:
    return '.'.join(map(str, version))


def check_torch() -> Optional[str]:
    """Check that torch is here and that mmcv can be built for it."""
    torch = find_module('torch')
    if torch is None:
        return (
            'mmleuk needs torch, and there is none in this environment '
            f'({sys.prefix}): install torch'
            f'{_range_text(TORCH_RANGE)} before mmcv, {INSTALL_HINT}.'
        )
    if _outside(torch, TORCH_RANGE):
        return (
            f'mmleuk needs torch{_range_text(TORCH_RANGE)}, got {torch}: '
            'mmcv was never built with another; install torch 2.13.0 and '
            f'build mmcv anew for it, {INSTALL_HINT}.'
        )
    return None


def check_stack() -> Optional[str]:
    """Check that mmengine, mmcv with its ops and mmdet are compatible."""
    modules = {
        name: find_module(name) for name in ('mmengine', 'mmcv', 'mmdet')
    }
    missing: List[str] = [name for name in modules if modules[name] is None]
    if missing:
        return (
            f'mmleuk needs mmengine, mmcv and mmdet, and there is no '
            f'{" and no ".join(missing)} in this environment ({sys.prefix}): '
            'install one of the stacks, openmmlab or onedl, '
            f'{INSTALL_HINT}.'
        )
    mmengine, mmcv, mmdet = filter(None, modules.values())
    bounds: Tuple[Version, Version] = MMCV_RANGE
    requirement = 'mmcv==2.1.0'
    if _outside(mmdet, ((0,), FIRST_ONEDL_MMDET)):
        bounds, requirement = MMCV_RANGE_ONEDL, 'onedl-mmcv==2.3.6'
    if not _has_compiled_ops(mmcv):
        return (
            f'mmleuk needs mmcv with its compiled ops, and {mmcv} has none '
            '(it is mmcv-lite, or it was built where torch could not be '
            'seen): uninstall it, then "pip install --no-build-isolation '
            f'--no-cache-dir {requirement}" after torch, '
            f'{INSTALL_HINT}.'
        )
    if _outside(mmdet, MMDET_RANGE):
        return (
            f'mmleuk needs mmdet{_range_text(MMDET_RANGE)}, got {mmdet}: '
            'install mmdet 3.3.0 or onedl-mmdetection 3.5.1, '
            f'{INSTALL_HINT}.'
        )
    if _outside(mmcv, bounds):
        return (
            f'{mmdet} needs mmcv{_range_text(bounds)}, got {mmcv}: uninstall '
            'that, then "pip install --no-build-isolation --no-cache-dir '
            f'{requirement}", {INSTALL_HINT}.'
        )
    if _outside(mmengine, MMENGINE_RANGE):
        return (
            f'mmleuk needs mmengine{_range_text(MMENGINE_RANGE)}, got '
            f'{mmengine}: install mmengine 0.10.7 or, on the onedl stack, '
            f'onedl-mmengine 0.10.12, {INSTALL_HINT}.'
        )
    # Up to 0.10.7 mmengine imports pkg_resources.
    is_user = _outside(mmengine, ((0, 10, 8), MMENGINE_RANGE[1]))
    if is_user and find_module('pkg_resources') is None:
        return (
            f'{mmengine} needs pkg_resources, which newer setuptools no '
            'longer bring: "pip install \'setuptools<81\'", '
            f'{INSTALL_HINT}.'
        )
    return None


def find_problem() -> Optional[str]:
    """Find the first problem of this environment."""
    return check_python() or check_torch() or check_stack()


def check_environment() -> None:
    """Check this environment, in milliseconds.

    Raises:
        ImportError: If a package is missing or incompatible; the message is
            one sentence on the problem and its fix.
    """
    problem = find_problem()
    if problem is not None:
        raise ImportError(problem)
