# Copyright (c) mmleuk authors. All rights reserved.
"""Fills a folder with all that ``check.sh --wheels`` installs.

    python3.11 tools/dev/setup/download_wheels.py DIR

Run it on a computer with network, with a Python of the same version and on
the same kind of system as the one without; neither needs a GPU for this. The
settings are those of install.py, but TORCH_BUILD is PyPI's, with CUDA, by
default. mmcv comes as source, to be compiled there.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path
from typing import List

import install
import mmcv_wheel


def pip_arguments(
    settings: install.Settings, folder: Path, mmcv: Path
) -> List[str]:
    """Write the arguments of pip, from its verb on.

    Args:
        settings (Settings): Versions and builds.
        folder (Path): Where the files go.
        mmcv (Path): The mended source of mmcv; the released one may not
            tell its version to this Python.

    Returns:
        list[str]: The arguments.
    """
    stack = install.STACKS[settings.stack]
    extras = ','.join([settings.stack, *install.EXTRAS])
    arguments = [
        'download',
        '--dest',
        str(folder),
        # With the setuptools that mmcv's set-up needs.
        '--no-build-isolation',
        settings.torch_requirement,
        *install.BUILD_REQUIREMENTS,
        install.SETUPTOOLS,
        install.OPENCV,
        install.HEADLESS_OPENCV,
        str(mmcv),
        *stack.others,
        f'{install.ROOT}[{extras}]',
    ]
    if settings.torch_build not in ('cpu', 'pypi'):
        index = f'{settings.torch_index}/{settings.torch_build}'
        arguments += ['--extra-index-url', index]
    return arguments


def pack_source(source: Path, requirement: str, folder: Path) -> Path:
    """Pack a source as the distribution that pip finds in a folder.

    Args:
        source (Path): Folder with ``setup.py``.
        requirement (str): ``name==version`` of it.
        folder (Path): Where the file goes.

    Returns:
        Path: The file, e.g. ``onedl_mmcv-2.3.6.tar.gz``.
    """
    name = requirement.replace('==', '-')
    # PEP 625: one hyphen, between name and version.
    name = name.replace('-', '_', name.count('-') - 1)
    file = folder / f'{name}.tar.gz'
    with tarfile.open(file, 'w:gz') as archive:
        archive.add(source, arcname=name)
    return file


def run_pip(python: str, *arguments: str) -> None:
    """Run the pip of a Python, and exit if it fails."""
    if subprocess.run([python, '-m', 'pip', *arguments]).returncode:
        sys.exit(f'"pip {" ".join(arguments)}" failed.')


def main() -> None:
    """Download, or exit with one sentence."""
    if len(sys.argv) != 2:
        sys.exit(f'usage: {sys.argv[0]} DIR')
    os.environ.setdefault('TORCH_BUILD', 'pypi')
    folder = Path(sys.argv[1]).resolve()
    try:
        settings = install.read_settings()
    except install.SetupError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory(prefix='mmleuk-download-') as temporary:
        venv.create(temporary, with_pip=True)
        python = str(Path(temporary) / 'bin' / 'python')
        run_pip(python, 'install', '--quiet', install.SETUPTOOLS, 'wheel')
        requirement = install.STACKS[settings.stack].mmcv
        unpacked = Path(temporary) / 'source'
        unpacked.mkdir()
        try:
            source = mmcv_wheel.unpack_source(
                requirement, unpacked, [python, '-m', 'pip']
            )
            mmcv_wheel.mend_source(
                source, requirement, dict(version=settings.torch_version)
            )
        except install.SetupError as error:
            sys.exit(str(error))
        run_pip(python, *pip_arguments(settings, folder, source))
        pack_source(source, requirement, folder)
        # Some versions of pip also pack this clone, which is installed from
        # where it is.
        for own in folder.glob('mmleuk-*'):
            own.unlink()
        # What comes as source asks for more packages where it is built.
        for source in folder.glob('*.tar.gz'):
            if 'mmcv' not in source.name:
                to_folder = ['--no-deps', '--wheel-dir', str(folder)]
                run_pip(python, 'wheel', *to_folder, str(source))
                source.unlink()
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e9
    print(f'{folder} has all wheels, {size:.1f} GB.')


if __name__ == '__main__':
    main()
