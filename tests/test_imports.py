# Copyright (c) mmleuk authors. All rights reserved.
"""Imports between the sub-packages of mmleuk run one way."""

import ast
from pathlib import Path

import pytest

import mmleuk

PACKAGE = Path(mmleuk.__file__).parent
# A sub-package imports those of earlier layers only.
LAYERS = (
    (
        'config_files',
        'environment',
        'optional_packages',
        'optional_registries',
        'version',
    ),
    ('registry',),
    ('structures',),
    ('io',),
    ('datasets', 'models', 'evaluation'),
    ('visualization',),
    ('engine',),
    ('apis', 'reports', 'deployment', 'configs'),
    ('__main__',),
)
LEVELS = {name: level for level, row in enumerate(LAYERS) for name in row}


def imported_packages(source, package):
    """List the sub-packages of mmleuk that a module imports."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split('.')
            parts = parts[: len(parts) - node.level + 1] if node.level else []
            origin = '.'.join([*parts, *filter(None, [node.module])])
            names += [f'{origin}.{alias.name}' for alias in node.names]
    paths = [name.split('.') for name in names]
    return {path[1] for path in paths if path[0] == 'mmleuk' and path[1:]}


def find_wrong_imports(importer, imported):
    """List the imports that run against the layers."""
    return [
        name
        for name in sorted(imported - {importer})
        if LEVELS[name] >= LEVELS[importer]
    ]


@pytest.mark.parametrize('importer', LEVELS)
def test_imports_run_one_way(importer):
    paths = [PACKAGE / f'{importer}.py', *(PACKAGE / importer).rglob('*.py')]
    paths = [path for path in paths if path.is_file()]
    assert paths
    for path in paths:
        folder = path.parent.relative_to(PACKAGE.parent)
        imported = imported_packages(path.read_text(), '.'.join(folder.parts))
        assert find_wrong_imports(importer, imported) == [], path


def test_every_package_has_a_layer():
    modules = {path.stem for path in PACKAGE.glob('*.py')} - {'__init__'}
    packages = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert modules | packages == set(LEVELS)


@pytest.mark.parametrize(
    'source',
    [
        'import mmleuk.models.losses',
        'from mmleuk import models',
        'from mmleuk.models import losses',
        'from ..models import losses',
        'from .. import models',
        'def f():\n    from mmleuk.models.losses import AsymmetricLoss',
    ],
)
def test_every_form_of_an_import_is_found(source):
    imported = imported_packages(source, 'mmleuk.structures')
    assert find_wrong_imports('structures', imported) == ['models']
    assert find_wrong_imports('engine', imported) == []
