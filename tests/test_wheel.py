# Copyright (c) mmleuk authors. All rights reserved.
"""The package is built, installed, and used in an empty folder."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from mmleuk.__main__ import COMMANDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[1]
SOURCES = ('mmleuk', 'configs', 'tools')
NAME = 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_synthetic.py'
CHILD = f"""
_base_ = 'mmleuk::{NAME}'
data = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, **data)
val_dataloader = data
test_dataloader = data
train_cfg = dict(max_epochs=1, val_interval=1)
model = dict(backbone=dict(init_cfg=None))
"""


def run_in(folder, *command):
    """Run a command where nothing of the clone is seen; give its output."""
    environment = dict(os.environ, PYTHONWARNINGS='ignore')
    environment.pop('PYTHONPATH', None)
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A folder with the source distribution, and the wheel made from it."""
    folder = tmp_path_factory.mktemp('built')
    copy = folder / 'copy'
    copy.mkdir()
    for name in SOURCES:
        shutil.copytree(
            ROOT / name,
            copy / name,
            symlinks=True,
            ignore=shutil.ignore_patterns('__pycache__'),
        )
    for name in ('pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, copy)
    build = 'from setuptools.build_meta import build_sdist; build_sdist("..")'
    run_in(copy, sys.executable, '-c', build)
    shutil.rmtree(copy)
    pip = (sys.executable, '-m', 'pip')
    (source,) = folder.glob('*.tar.gz')
    run_in(
        folder,
        *(*pip, 'wheel', '--no-index', '--no-deps', '--no-build-isolation'),
        source,
    )
    return folder


@pytest.fixture(scope='module')
def scripts(built, tmp_path_factory):
    """Scripts of an environment with the wheel, and not with the clone."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, symlinks=True)
    scripts = folder / 'bin'
    (wheel,) = built.glob('*.whl')
    pip = (sys.executable, '-m', 'pip', '--python', scripts / 'python')
    run_in(built, *pip, 'install', '--no-index', '--no-deps', wheel)
    # The other packages are those of this environment. Files .pth in these
    # folders, such as that of the clone, are not read.
    (packages,) = folder.glob('lib/python*/site-packages')
    others = [path for path in sys.path if path.endswith('-packages')]
    (packages / 'others.pth').write_text('\n'.join(others))
    return scripts


@pytest.fixture
def run(scripts, tmp_path):
    """Runs a script of the environment in an empty folder."""

    def run(script, *arguments):
        return run_in(tmp_path, scripts / script, *arguments)

    return run


def test_built_files(built):
    (source,) = built.glob('*.tar.gz')
    (wheel,) = built.glob('*.whl')
    with tarfile.open(source) as archive:
        in_source = {
            name.partition('/')[2]: archive.getmember(name).isfile()
            for name in archive.getnames()
        }
    in_wheel = zipfile.ZipFile(wheel).namelist()
    expected = ['mmleuk/py.typed', 'mmleuk/.mim/model-index.yml']
    expected += [f'mmleuk/.mim/tools/{file}' for file in COMMANDS.values()]
    expected += [
        f'mmleuk/.mim/{path.relative_to(ROOT)}'
        for path in (ROOT / 'configs').rglob('*')
        if path.suffix in ('.py', '.yml', '.md')
    ]
    assert [n for n in expected if not in_source.get(n)] == []
    assert sorted(set(expected) - set(in_wheel)) == []
    packages = {str(Path(name).parts[0]) for name in in_wheel}
    assert {name for name in packages if '.' not in name} == {'mmleuk'}


def test_help_lists_the_commands(run):
    text = run('mmleuk', '--help')
    assert [name for name in COMMANDS if f'\n  {name} ' not in text] == []
    assert run('mmleuk', 'sparsify', '--help').startswith(
        'usage: mmleuk sparsify '
    )


def test_configs_by_name(run, scripts, tmp_path):
    (tmp_path / 'mine.py').write_text(f"_base_ = 'mmleuk::{NAME}'\n")
    (tmp_path / 'show.py').write_text(
        'import mmleuk.config_files\n'
        'from mmengine.config import Config\n'
        'from mmengine.hub import get_config\n'
        f"print(get_config('mmleuk::{NAME}').filename)\n"
        "print(Config.fromfile('mine.py').model.type)\n"
    )
    path, kind = run('python', 'show.py').split()
    assert path.startswith(str(scripts.parent))
    assert kind == 'FasterRCNN'


def test_self_check(run, scripts):
    text = run('mmleuk', 'self-check')
    assert f'({scripts.parent}' in text
    assert 'all modules can be imported' in text
    assert 'the ops of mmcv run on cpu' in text


def test_from_films_to_a_report(run, tmp_path):
    run('mmleuk', 'synthetic-films', '--preset', 'tests')
    (tmp_path / 'mine.py').write_text(CHILD)
    assert 'no fault found' in run('mmleuk', 'check', 'mine.py')
    log = run('mmleuk', 'train', 'mine.py')
    assert 'Epoch(val) [1][2/2]' in log
    # Each `type` is looked up in a registry of ours or of MMDetection.
    assert 'Failed to search registry' not in log
    fields = 'data/synthetic_films/H_100X_C1/images/test'
    weights = 'work_dirs/mine/epoch_1.pth'
    run('mmleuk', 'predict', fields, weights, '--score-thr', '0')
    run('mmleuk', 'report', 'outputs/predictions.json', '--out', 'report')
    assert (tmp_path / 'report' / 'index.html').is_file()
