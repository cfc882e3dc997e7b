# Copyright (c) mmleuk authors. All rights reserved.
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from mmleuk import environment

ROOT = Path(__file__).resolve().parents[1]
OPENMMLAB = dict(
    torch='2.13.0+cpu', mmengine='0.10.7', mmcv='2.1.0', mmdet='3.3.0'
)
ONEDL = dict(
    torch='2.13.0+cpu', mmengine='0.10.12', mmcv='2.3.6', mmdet='3.5.1'
)


def write_modules(folder, versions, ops=True, pkg_resources=True):
    """Writes packages that hold a version and fail when they are imported."""
    for name, version in versions.items():
        package = folder / name
        package.mkdir(parents=True)
        (package / '__init__.py').write_text('raise SystemExit("imported")')
        (package / 'version.py').write_text(f'__version__ = {version!r}')
        if name == 'mmcv' and ops:
            (package / f'_ext{EXTENSION_SUFFIXES[0]}').touch()
    if pkg_resources:
        (folder / 'pkg_resources.py').touch()


def import_mmleuk(folder, before='pass'):
    """Imports mmleuk where nothing but ``folder`` is installed."""
    code = (
        f'import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]; '
        f'{before}; import mmleuk; print(mmleuk.__version__)'
    )
    return subprocess.run(
        [sys.executable, '-I', '-S', '-B', '-c', code],
        capture_output=True,
        text=True,
    )


def assert_one_sentence(result, *parts):
    """Asserts that an import ended in one line that names the mend."""
    assert result.returncode == 1, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: ')
    assert last.endswith('docs/installation.md.')
    for part in parts:
        assert part in last


@pytest.mark.parametrize('versions', [OPENMMLAB, ONEDL])
def test_a_fitting_environment_imports(tmp_path, versions):
    write_modules(tmp_path, versions)
    result = import_mmleuk(tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()[0].isdigit()


def test_this_environment_fits():
    assert environment.find_problem() is None


def test_import_is_cheap():
    code = 'import sys, mmleuk; print(*sys.modules)'
    modules = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    assert 'mmleuk' in modules
    assert not {'torch', 'numpy', 'mmcv', 'mmdet'} & set(modules)


@pytest.mark.parametrize(
    ('changes', 'parts'),
    [
        (dict(torch=None), ['there is none', 'install torch>=2.0,<2.16']),
        (dict(torch='2.16.0'), ['torch 2.16.0 (', 'torch 2.13.0']),
        (dict(torch='2.17.1+cu130'), ['torch 2.17.1+cu130 (']),
        (dict(torch='1.13.1'), ['torch 1.13.1 (', 'torch>=2.0,<2.16']),
        (dict(mmcv=None), ['there is no mmcv', 'openmmlab or onedl']),
        (dict(mmdet=None, mmcv=None), ['no mmcv and no mmdet']),
        (dict(mmdet='3.2.0'), ['mmdet>=3.3,<4', 'mmdet 3.2.0 (']),
        (dict(mmengine='0.9.1'), ['mmengine>=0.10,<1', 'mmengine 0.9.1 (']),
        # The newest mmcv, which pip takes unless told otherwise.
        (
            dict(mmcv='2.2.0'),
            ['mmdet 3.3.0 (', 'mmcv 2.2.0 (', 'mmcv>=2.0,<2.2', 'mmcv==2.1.0'],
        ),
        # A fork's mmcv beside the original mmdet, and the reverse.
        (dict(mmcv='2.3.6'), ['mmcv 2.3.6 (', 'mmcv>=2.0,<2.2']),
        (
            dict(mmdet='3.5.1'),
            ['mmdet 3.5.1 (', 'mmcv 2.1.0 (', 'onedl-mmcv==2.3.6'],
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(tmp_path, changes, parts):
    versions = {**OPENMMLAB, **changes}
    present = {name: v for name, v in versions.items() if v is not None}
    write_modules(tmp_path, present)
    assert_one_sentence(import_mmleuk(tmp_path), *parts)


@pytest.mark.parametrize(
    ('versions', 'mend'),
    [
        (OPENMMLAB, '--no-cache-dir mmcv==2.1.0'),
        (ONEDL, '--no-cache-dir onedl-mmcv==2.3.6'),
    ],
)
def test_mmcv_without_ops(tmp_path, versions, mend):
    write_modules(tmp_path, versions, ops=False)
    assert_one_sentence(
        import_mmleuk(tmp_path), 'compiled ops', 'mmcv-lite', mend
    )


def test_mmengine_that_needs_pkg_resources(tmp_path):
    write_modules(tmp_path, OPENMMLAB, pkg_resources=False)
    assert_one_sentence(
        import_mmleuk(tmp_path),
        'mmengine 0.10.7 (',
        "pip install 'setuptools<81'",
    )


def test_newer_mmengine_needs_no_pkg_resources(tmp_path):
    write_modules(tmp_path, ONEDL, pkg_resources=False)
    assert import_mmleuk(tmp_path).returncode == 0


def test_folder_without_package_is_not_the_module(tmp_path):
    write_modules(tmp_path, {**OPENMMLAB})
    for file in (tmp_path / 'torch').iterdir():
        file.unlink()
    assert_one_sentence(import_mmleuk(tmp_path), 'needs torch')


def test_version_that_a_module_asks_its_distribution_for(tmp_path):
    # As the onedl stack does, which the original's name would not find.
    write_modules(tmp_path, {**ONEDL})
    (tmp_path / 'mmdet' / 'version.py').write_text(
        'from importlib.metadata import version\n'
        "__version__ = version('onedl-mmdetection')\n"
    )
    info = tmp_path / 'onedl_mmdetection-3.2.9.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: onedl-mmdetection\nVersion: 3.2.9\n'
    )
    assert_one_sentence(import_mmleuk(tmp_path), 'mmdet 3.2.9 (')


def test_mocks_of_documentation_tools_pass(tmp_path):
    write_modules(tmp_path, {})
    mocks = (
        'from unittest.mock import MagicMock; sys.modules.update('
        'dict.fromkeys(["torch", "mmengine", "mmcv", "mmdet"], MagicMock()))'
    )
    result = import_mmleuk(tmp_path, before=mocks)
    assert result.returncode == 0, result.stderr


def test_imported_module_counts(monkeypatch, tmp_path):
    module = MagicMock(__version__='2.16.1', __path__=[str(tmp_path)])
    monkeypatch.setitem(sys.modules, 'torch', module)
    assert 'torch 2.16.1 (' in environment.check_torch()


def test_old_python(monkeypatch):
    monkeypatch.setattr(sys, 'version_info', (3, 9, 18))
    problem = environment.find_problem()
    assert 'Python >= 3.10, this is 3.9.18' in problem
    with pytest.raises(ImportError, match='PYTHON=python3.11'):
        environment.check_environment()


@pytest.mark.parametrize(
    ('text', 'version'),
    [('2.13.0+cpu', (2, 13, 0)), ('2.0.0rc4', (2, 0, 0)), ('3', (3,))],
)
def test_parse_version(text, version):
    assert environment.parse_version(text) == version


def test_parse_version_refuses_words():
    with pytest.raises(ValueError, match="got 'parrots'"):
        environment.parse_version('parrots')
