# Copyright (c) mmleuk authors. All rights reserved.
"""Installs torch, mmcv, one of the two stacks and mmleuk into this Python.

Called by ``tools/dev/setup/prepare.sh`` with the Python of the environment to
fill. Settings are environment variables:

- ``STACK``: ``openmmlab`` (default) or ``onedl``.
- ``TORCH_VERSION``: version of torch, 2.13.0 by default.
- ``TORCH_BUILD``: ``cpu`` (default), a GPU build such as ``cu126`` or
  ``rocm6.4``, or ``pypi`` for PyPI's build for this computer.
- ``TORCH_INDEX``: index of torch's builds if pip's own indexes have none.
- ``FORCE_CUDA``: 1 for an mmcv with CUDA ops, also where no GPU is seen.

In an environment that ``prepare.sh`` did not make, nothing is replaced: only
missing packages are added.
"""

import contextlib
import hashlib
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import mmcv_wheel
from mmcv_wheel import ENVIRONMENT, ROOT, SetupError

WHEELS = ROOT / '.wheels'
# Written by prepare.sh when it makes the environment, then by this file.
STAMP = Path(sys.prefix) / 'mmleuk-setup.json'

TORCH_VERSION = '2.13.0'
# The versions of torch that PyPI has for a Python: from the first to below the
# second. None: no end yet but that of ENVIRONMENT['TORCH_RANGE'].
TORCH_OF_PYTHON = {
    (3, 10): ((2, 0), (2, 15)),
    (3, 11): ((2, 0), None),
    (3, 12): ((2, 2), None),
    (3, 13): ((2, 5), None),
    (3, 14): ((2, 9), None),
}
TORCH_INDEX = 'https://download.pytorch.org/whl'
EXTRAS = ['dev', 'docs', 'lite0', 'lite1', 'lite2', 'onnx', 'plot', 'report']
# mmengine 0.10.7 and mmcv 2.1.0 import pkg_resources, which 81 dropped;
# onedl-mmcv states its license as 77 allows.
SETUPTOOLS = 'setuptools>=77,<81'
# What mmcv is built with.
BUILD_REQUIREMENTS = ['setuptools', 'wheel', 'ninja', 'psutil', 'packaging']
# What mmcv imports, and the same without windows, which loads on a system
# without the libraries of X.
OPENCV = 'opencv-python'
HEADLESS_OPENCV = 'opencv-python-headless'
PIP = [sys.executable, '-m', 'pip', '--disable-pip-version-check']


class Stack(NamedTuple):
    """One of the two families of distributions, at the tested versions.

    Args:
        mmcv (str): Requirement of mmcv, which has to be built.
        others (list[str]): The other requirements.
    """

    mmcv: str
    others: List[str]


STACKS = dict(
    openmmlab=Stack('mmcv==2.1.0', ['mmengine==0.10.7', 'mmdet==3.3.0']),
    onedl=Stack(
        'onedl-mmcv==2.3.6',
        ['onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1'],
    ),
)
# Distributions whose change requires a new set-up.
WATCHED = [
    'torch',
    'setuptools',
    'mmleuk',
    'mmcv',
    'mmengine',
    'mmdet',
    'onedl-mmcv',
    'onedl-mmengine',
    'onedl-mmdetection',
]


class Settings(NamedTuple):
    """Settings from environment variables.

    Args:
        stack (str): A key of ``STACKS``.
        torch_version (str): Version of torch without a local part.
        torch_build (str): ``cpu``, ``pypi`` or a GPU build as ``cu126``.
        torch_index (str): Address over the folders of torch's builds.
        force_cuda (bool): Whether mmcv must have CUDA ops.
    """

    stack: str
    torch_version: str
    torch_build: str
    torch_index: str
    force_cuda: bool

    @property
    def torch_requirement(self) -> str:
        """str: The requirement that only the chosen build meets."""
        # PyPI's torch for Linux is a GPU build of the same version; only the
        # local part keeps pip from it. Those for macOS have none.
        if self.torch_build == 'pypi' or platform.system() == 'Darwin':
            return f'torch=={self.torch_version}'
        return f'torch=={self.torch_version}+{self.torch_build}'


def read_settings() -> Settings:
    """Read the settings, raise a SetupError if they are wrong."""
    settings = Settings(
        os.environ.get('STACK') or 'openmmlab',
        os.environ.get('TORCH_VERSION') or TORCH_VERSION,
        os.environ.get('TORCH_BUILD') or 'cpu',
        (os.environ.get('TORCH_INDEX') or TORCH_INDEX).rstrip('/'),
        mmcv_wheel.gpu_ops_are_forced(),
    )
    if settings.stack not in STACKS:
        raise SetupError(
            f'STACK={settings.stack} is unknown: set STACK=openmmlab or '
            'STACK=onedl.'
        )
    check_combination(settings.torch_version, sys.version_info[:2])
    return settings


def check_combination(torch_version: str, python: Tuple[int, int]) -> None:
    """Raise a SetupError if a torch can not be had for a Python.

    Args:
        torch_version (str): E.g. ``2.13.0``.
        python (tuple[int, int]): E.g. ``(3, 13)``.
    """
    low, high = ENVIRONMENT['TORCH_RANGE']
    name = '.'.join(map(str, python))
    if python not in TORCH_OF_PYTHON:
        raise SetupError(
            f'mmleuk can be set up with Python 3.{min(TORCH_OF_PYTHON)[1]} to '
            f'3.{max(TORCH_OF_PYTHON)[1]}, this is {name} '
            f'({sys.executable}): name another, as in PYTHON=python3.13 with '
            'VENV=.venv-3.13.'
        )
    first, end = TORCH_OF_PYTHON[python]
    low, high = max(low, first), min(high, end or high)
    version = ENVIRONMENT['parse_version'](torch_version)
    if not low <= version < high:
        raise SetupError(
            f'TORCH_VERSION={torch_version} can not be used with Python '
            f'{name}, because torch has no build for it or mmcv was never '
            f'built with it: set a version >={".".join(map(str, low))},'
            f'<{".".join(map(str, high))}, or none for {TORCH_VERSION}.'
        )


def installed() -> Dict[str, str]:
    """List the versions of the watched distributions, by name."""
    found = {}
    for name in WATCHED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def fingerprint(settings: Settings) -> str:
    """Digest of all that an up-to-date environment depends on."""
    digest = hashlib.sha256(repr((settings, str(ROOT))).encode())
    sources = sorted(Path(__file__).parent.glob('*.py'))
    for file in [*sources, ROOT / 'pyproject.toml']:
        digest.update(file.read_bytes())
    versions = installed()
    digest.update(repr(sorted(versions.items())).encode())
    if 'mmleuk' in versions:
        # Names the clone that an editable install points at.
        origin = metadata.distribution('mmleuk').read_text('direct_url.json')
        digest.update((origin or '').encode())
    return digest.hexdigest()


def read_stamp() -> Optional[Dict]:
    """Read the state of this environment, None if it has none.

    The keys are ``made_here`` (bool: made by prepare.sh) and, after a set-up,
    ``fingerprint`` and ``mmcv_built_for``.
    """
    if not STAMP.is_file():
        return None
    return json.loads(STAMP.read_text(encoding='utf-8'))


def run_pip(*arguments: str, allow_failure: bool = False) -> str:
    """Run pip; return its output if it fails and may, else ''.

    Raises:
        SetupError: If pip fails and may not.
    """
    # Twice quiet: errors only.
    result = subprocess.run(
        [*PIP, *arguments, '-qq'],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Python caches which modules are missing.
    importlib.invalidate_caches()
    if result.returncode == 0:
        return ''
    if not allow_failure:
        raise SetupError(
            f'"pip {" ".join(arguments)}" failed:\n{result.stdout.rstrip()}'
        )
    return result.stdout or 'pip failed without a word'


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title of a step and the time that it took."""
    print(f'- {title}', flush=True)
    start = time.monotonic()
    yield
    print(f'  took {time.monotonic() - start:.0f} s', flush=True)


@contextlib.contextmanager
def constraints(lines: List[str]) -> Iterator[List[str]]:
    """Write a file of constraints; give pip's arguments for it."""
    with tempfile.TemporaryDirectory(prefix='mmleuk-setup-') as folder:
        file = Path(folder) / 'constraints.txt'
        file.write_text('\n'.join([*lines, '']), encoding='utf-8')
        yield ['--constraint', str(file)]


def everything_installed() -> List[str]:
    """Pin the versions of all distributions of this environment."""
    return [
        f'{distribution.metadata["Name"]}=={distribution.version}'
        for distribution in metadata.distributions()
        # A half-removed one has no name.
        if distribution.metadata['Name'] not in (None, 'mmleuk')
    ]


def install_torch(settings: Settings, pinned: List[str]) -> None:
    """Install torch from pip's indexes, or from torch's own."""
    requirement = settings.torch_requirement
    with constraints(pinned) as arguments:
        command = ['install', requirement, *arguments]
        error = run_pip(*command, allow_failure=True)
        if error and 'No matching distribution found for torch' in error:
            index = f'{settings.torch_index}/{settings.torch_build}'
            print(f'  from {index}', flush=True)
            error = run_pip(
                *command, '--extra-index-url', index, allow_failure=True
            )
    if error:
        raise SetupError(
            f'{requirement} could not be installed, pip said\n'
            f'{error.rstrip()}\n'
            'Set PIP_FIND_LINKS to a folder with its wheel, TORCH_INDEX to a '
            'mirror, TORCH_VERSION to another version, or TORCH_BUILD=pypi '
            "for PyPI's build (on Linux 2 to 3 GB, with CUDA)."
        )


def install_opencv(pinned: List[str], replace: bool) -> None:
    """Install an OpenCV that loads on this system.

    Args:
        pinned (list[str]): Requirements that must stay.
        replace (bool): Whether one that does not load may be replaced.

    Raises:
        SetupError: If it does not load.
    """
    if ENVIRONMENT['find_module']('cv2') is None:
        with constraints(pinned) as arguments:
            run_pip('install', OPENCV, *arguments)
    error = mmcv_wheel.error_of('import cv2')
    if error and replace:
        print(f'  {OPENCV} does not load ({error}): {HEADLESS_OPENCV} instead')
        # Over the other, which mmengine requires by name.
        over = ['--force-reinstall', '--no-deps']
        run_pip('install', HEADLESS_OPENCV, *over)
        error = mmcv_wheel.error_of('import cv2')
    if error:
        raise SetupError(
            f'OpenCV does not load: {error}. Install the libraries that it '
            'misses (Debian and Ubuntu: "apt install libgl1 libglib2.0-0"), '
            f'or {HEADLESS_OPENCV} in place of {OPENCV}.'
        )


def build_minutes(torch: Dict) -> int:
    """Estimate how long the build of mmcv takes on two cores."""
    return 20 if mmcv_wheel.with_gpu_ops(torch) else 4


def install_mmcv(
    requirement: str, torch: Dict, pinned: List[str], replace: bool
) -> None:
    """Install an mmcv whose ops work with the installed torch.

    Tries a wheel of an earlier build, then one that pip finds (such as in
    ``PIP_FIND_LINKS``), and builds one as a last resort. The name of a wheel
    does not tell for which torch it was built, so its ops are tested.

    Args:
        requirement (str): E.g. ``mmcv==2.1.0``.
        torch (dict): As from ``mmcv_wheel.describe_torch``.
        pinned (list[str]): Requirements that must stay.
        replace (bool): Whether the one that is here was built for another
            torch.

    Raises:
        SetupError: If it can not be built or its ops do not work.
    """
    name = requirement.split('==')[0]
    folder = mmcv_wheel.kept_folder(WHEELS, torch)
    if replace:
        run_pip('uninstall', '--yes', name)
    with constraints(pinned) as arguments:
        kept = mmcv_wheel.kept_wheel(folder, requirement)
        if kept is not None:
            print(f'  the wheel built before: {kept}', flush=True)
            run_pip('install', str(kept), *arguments)
            if mmcv_wheel.verify_ops() is None:
                return
            kept.unlink()
            run_pip('uninstall', '--yes', name)
        offered = ['--only-binary', name, '--no-cache-dir', *arguments]
        if not run_pip('install', requirement, *offered, allow_failure=True):
            error = mmcv_wheel.verify_ops()
            if error is None:
                print('  a ready wheel that pip was offered', flush=True)
                return
            print(f'  the wheel that pip was offered fails: {error}')
            run_pip('uninstall', '--yes', name)
        print(
            f'  no ready wheel for torch {torch["version"]}: building one, '
            f'about {build_minutes(torch)} minutes on two cores',
            flush=True,
        )
        wheel = mmcv_wheel.build_wheel(requirement, folder, torch, PIP)
        run_pip('install', str(wheel), *arguments)
    error = mmcv_wheel.verify_ops()
    if error is not None:
        wheel.unlink()
        raise SetupError(
            f'The ops of {requirement}, just built for torch '
            f'{torch["version"]}, do not work: {error}'
        )


def check_other_stack(settings: Settings, versions: Dict[str, str]) -> None:
    """Raise a SetupError if the environment holds the other stack."""
    for name, stack in STACKS.items():
        if name == settings.stack:
            continue
        for requirement in [stack.mmcv, *stack.others]:
            other = requirement.split('==')[0]
            if other in versions:
                raise SetupError(
                    f'{sys.prefix} holds {other} of the stack {name}, and '
                    'both stacks in one environment overwrite each other: '
                    f'set STACK={name}, or name another environment, such '
                    f'as VENV=.venv-{settings.stack}.'
                )


def check_own_mmcv(torch: Dict) -> None:
    """Raise a SetupError if an mmcv that may not be replaced has no ops."""
    error = mmcv_wheel.verify_ops()
    if error is not None:
        raise SetupError(
            f'The ops of the mmcv in {sys.prefix} do not work ({error}): it '
            'has none, or it was built for another torch than '
            f'{torch["version"]}; uninstall it and run this again.'
        )


def set_up(settings: Settings, made_here: bool, stamp: Dict) -> None:
    """Fill the environment, replacing packages only if it was made here."""
    versions = installed()
    check_other_stack(settings, versions)
    stack = STACKS[settings.stack]
    pinned = [] if made_here else everything_installed()
    wanted = settings.torch_requirement.split('==')[1]
    if 'torch' in versions and not made_here:
        print(f'- torch {versions["torch"]}: is here and stays')
    elif versions.get('torch') == wanted:
        print(f'- torch {wanted}: is here')
    else:
        size = '200 MB' if settings.torch_build == 'cpu' else '2 to 3 GB'
        with step(f'torch {wanted} ({size}): about 1 minute'):
            install_torch(settings, pinned)
    problem = ENVIRONMENT['check_torch']()
    if problem:
        raise SetupError(problem)
    torch = mmcv_wheel.describe_torch()
    if settings.force_cuda and not torch['cuda']:
        raise SetupError(
            f'FORCE_CUDA=1 asks for CUDA ops, and torch {torch["version"]} '
            "is a build without CUDA: set TORCH_BUILD=pypi for PyPI's build, "
            'or another with CUDA such as cu126, and leave no wheel of a '
            'build for the CPU where pip finds it.'
        )

    if made_here:
        pinned = [
            # As pip knows it: PyPI's build calls itself 2.13.0+cu130.
            f'torch=={metadata.version("torch")}',
            SETUPTOOLS,
            stack.mmcv,
            *stack.others,
        ]
    mmcv_here = ENVIRONMENT['find_module']('mmcv') is not None
    if made_here or not mmcv_here:
        with step('what mmcv is built with, and OpenCV: some seconds'):
            with constraints(pinned) as arguments:
                run_pip('install', *BUILD_REQUIREMENTS, *arguments)
            install_opencv(pinned, replace=made_here)
    mmcv_version = versions.get(stack.mmcv.split('==')[0])
    built_for = stamp.get('mmcv_built_for')
    if mmcv_here and not made_here:
        check_own_mmcv(torch)
        print('- mmcv: is here and stays')
    elif (
        mmcv_version == stack.mmcv.split('==')[1]
        and built_for == torch['version']
        and mmcv_wheel.verify_ops() is None
    ):
        print(f'- {stack.mmcv}: is here')
    else:
        with step(f'{stack.mmcv} with its ops'):
            install_mmcv(
                stack.mmcv, torch, pinned, replace=mmcv_version is not None
            )
    stamp['mmcv_built_for'] = torch['version']

    extras = list(EXTRAS)
    if ENVIRONMENT['find_module']('mmdet') is None or made_here:
        extras.insert(0, settings.stack)
    with step(f'mmleuk[{",".join(extras)}] and what it needs: about 1 minute'):
        with constraints(pinned) as arguments:
            run_pip(
                'install',
                '--editable',
                f'{ROOT}[{",".join(extras)}]',
                *arguments,
            )
    problem = ENVIRONMENT['find_problem']()
    if problem:
        raise SetupError(problem)


def main() -> None:
    """Set the environment up, or exit with one sentence."""
    try:
        problem = ENVIRONMENT['check_python']()
        if problem:
            raise SetupError(problem)
        # ninja and the compilers of an environment lie beside its Python.
        folder = str(Path(sys.executable).parent)
        os.environ['PATH'] = folder + os.pathsep + os.environ['PATH']
        settings = read_settings()
        stamp = read_stamp() or dict(made_here=False)
        if stamp.get('fingerprint') == fingerprint(settings):
            print(f'Set-up: {sys.prefix} is up to date.')
            return
        print(
            f'Set-up of {sys.prefix} (Python {platform.python_version()}, '
            f'stack {settings.stack}):\nabout 2 minutes, and more where mmcv '
            'has to be compiled.',
            flush=True,
        )
        start = time.monotonic()
        set_up(settings, stamp['made_here'], stamp)
        stamp['fingerprint'] = fingerprint(settings)
        STAMP.write_text(json.dumps(stamp), encoding='utf-8')
        minutes = (time.monotonic() - start) / 60
        print(f'Set-up is done, it took {minutes:.1f} minutes.', flush=True)
    except SetupError as error:
        sys.exit(f'Set-up failed. {error}')


if __name__ == '__main__':
    main()
