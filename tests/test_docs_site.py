# Copyright (c) mmleuk authors. All rights reserved.
"""The documentation site is built without warnings and without torch."""

import ast
import os
import re
import shutil
import subprocess
import sys

import pytest
from doc_blocks import ROOT, read

CONFIG = 'tools/dev/docs/mkdocs.yml'


def build_site(root, out):
    """Build the site of a clone, where PyTorch can not be imported."""
    blocked = out.parent / 'blocked'
    blocked.mkdir()
    for name in ('torch', 'mmengine', 'mmcv', 'mmdet'):
        (blocked / f'{name}.py').write_text(f'raise AssertionError({name!r})')
    return subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict']
        + ['-f', str(root / CONFIG), '-d', str(out)],
        env=dict(os.environ, PYTHONPATH=str(blocked)),
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp('built') / 'site'
    result = build_site(ROOT, out)
    assert result.returncode == 0, result.stderr
    return out


def test_each_public_name_has_its_place(site):
    pages = 0
    for path in ROOT.glob('mmleuk/*/**/__init__.py'):
        names = re.search(r'^__all__ = (\[.*?\])', read(path), re.M | re.S)
        if names is None:
            continue
        package = '.'.join(path.relative_to(ROOT).parts[:-1])
        page = read(site / f'api/{package}.html')
        pages += 1
        for name in ast.literal_eval(names[1]):
            # A package has a page of its own.
            if not (path.parent / name).is_dir():
                assert re.search(rf'id="{package}.({name}.)?{name}"', page)
    assert pages > 20


def test_roles_of_docstrings_are_read(site):
    for page in (site / 'api').glob('*.html'):
        wrong = re.findall(r':[a-z]+:<code>|:[a-z]+:`|&lt;autoref', read(page))
        assert wrong == []


def test_pages_load_nothing_from_elsewhere(site):
    page = read(site / 'index.html')
    loaded = re.findall(r'(?:src=|<link [^>]*href=)"([^"]+)"', page)
    assert loaded
    assert [x for x in loaded if x.startswith(('http:', 'https:', '//'))] == []


def list_of(pages):
    return '\n'.join(f'  - {page}' for page in pages)


@pytest.fixture
def clone(tmp_path):
    """A clone with two pages, a config and no code."""
    root = tmp_path / 'clone'
    shutil.copytree(ROOT / 'tools/dev/docs', root / 'tools/dev/docs')
    config = root / CONFIG
    nav = ['README.md', 'docs/training.md', 'configs/mmdet/README.md']
    config.write_text(
        re.sub(r'(?s)(?<=\nnav:\n).*?(?=\n\n)', list_of(nav), read(config))
    )
    (root / 'docs').mkdir()
    (root / 'configs/mmdet').mkdir(parents=True)
    (root / 'mmleuk').mkdir()
    (root / 'LICENSE').write_text('Free\n')
    (root / 'configs/mmdet/a.py').write_text('number = 1\n')
    (root / 'configs/mmdet/README.md').write_text('# Configs\n\n[a](a.py)\n')
    (root / 'docs/training.md').write_text('# Training\n\n## `a_b` – c, d\n')
    (root / 'README.md').write_text(
        '# Start\n\n[t](docs/training.md#a_b--c-d)\n'
    )
    return root


def test_links_lead_to_code_and_folders_as_on_github(clone, tmp_path):
    page = clone / 'docs/training.md'
    page.write_text(read(page) + '[x](../configs/mmdet) [y](../LICENSE)\n')
    site = tmp_path / 'site'
    result = build_site(clone, site)
    assert result.returncode == 0, result.stderr
    built = read(site / 'docs/training.html')
    assert 'href="../configs/mmdet/index.html"' in built
    assert 'href="../LICENSE.html"' in built
    assert 'href="a.py.html"' in read(site / 'configs/mmdet/index.html')
    assert 'number' in read(site / 'configs/mmdet/a.py.html')


def test_broken_links_fail(clone, tmp_path):
    broken = [
        'no_such.md',
        'training.md#no-such',
        '../configs/no_such.py',
        '../configs',
    ]
    page = clone / 'docs/training.md'
    links = ''.join(f'[x]({link}) ' for link in broken)
    page.write_text(f'{read(page)}{links}\n', encoding='utf-8')
    result = build_site(clone, tmp_path / 'site')
    assert result.returncode != 0
    warnings = re.findall('^WARNING.*', result.stderr, re.MULTILINE)
    assert len(warnings) == len(broken), result.stderr
    for link in broken:
        assert [x for x in warnings if f"'{link}'" in x]


def test_a_page_outside_the_navigation_fails(clone, tmp_path):
    (clone / 'docs/more.md').write_text('# More\n')
    result = build_site(clone, tmp_path / 'site')
    assert result.returncode != 0
    assert 'docs/more.md' in result.stderr
