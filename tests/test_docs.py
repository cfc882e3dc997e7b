# Copyright (c) mmleuk authors. All rights reserved.
"""What README and docs name exists: links, paths and modules."""

import re
from importlib import import_module

import pytest
from doc_blocks import CURRENT, PAGES, ROOT, blocks_of, page_id, read

LINK = re.compile(r'\]\(([^)\s]+)\)')
PATH = re.compile(r'(?<![\w/.-])(?:tools|configs|tests|mmleuk)/[\w./-]*[\w/]')
MODULE = re.compile(r'\bmmleuk(?:\.[A-Za-z_]\w*)+')
# Of the ONNX standard.
FOREIGN = {'metadata_props'}


def anchors(page):
    """Anchors of the headings of a page, as GitHub makes them."""
    titles = re.findall(r'^#+ (.*)$', read(page), re.MULTILINE)
    return {
        re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-')
        for title in titles
    }


@pytest.fixture(scope='module')
def code():
    """All words of the code that people run."""
    sources = [
        path
        for room in ('mmleuk', 'configs', 'tools')
        for path in (ROOT / room).rglob('*')
        if path.suffix in ('.py', '.sh')
    ]
    return set(re.findall(r'\w+', '\n'.join(map(read, sources))))


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(read(page)):
        if '://' in link:
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize('page', CURRENT, ids=page_id)
def test_paths_exist(page):
    paths = set(PATH.findall(read(page)))
    assert [p for p in sorted(paths) if not (ROOT / p).exists()] == []


@pytest.mark.parametrize('page', CURRENT, ids=page_id)
def test_modules_and_registered_names_exist(page):
    missing = [
        name
        for name in sorted(set(MODULE.findall(read(page))))
        if name != 'mmleuk.X' and not exists(name)
    ]
    assert not missing


def exists(name):
    """Whether a name is a module, an attribute of one, or registered."""
    module, _, attribute = name.rpartition('.')
    try:
        import_module(name)
    except ImportError:
        if hasattr(import_module(module), attribute):
            return True
    else:
        return True
    sources = (ROOT / 'mmleuk').rglob('*.py')
    defined = re.compile(rf'^class {attribute}\b', re.MULTILINE)
    return module == 'mmleuk' and any(defined.search(read(s)) for s in sources)


@pytest.mark.parametrize('page', CURRENT, ids=page_id)
def test_identifiers_occur_in_the_code(page, code):
    prose = re.sub(r'```.*?```', '', read(page), flags=re.DOTALL)
    names = set(re.findall(r'`([A-Za-z]\w*(?:_\w+|[a-z][A-Z]\w*))`', prose))
    assert sorted(names - code - FOREIGN) == []


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_each_block_is_checked_or_says_why_not(page):
    text = read(page)
    blocks = list(blocks_of(page))
    # Those that were not read, such as an indented one, are not checked.
    fences = re.findall(r'^\s*(?:```|~~~)', text, re.MULTILINE)
    assert len(fences) == 2 * len(blocks)
    assert {b.language for b in blocks} <= {'bash', 'python', 'text'}
    # A mark that stands elsewhere, or has no reason, excepts nothing.
    marks = re.findall(r'^\s*<!--\s*not run', text, re.MULTILINE)
    assert len(marks) == sum(b.why_not_run is not None for b in blocks)


def test_the_architecture_page_lists_the_rooms():
    text = read(ROOT / 'docs' / 'architecture.md')
    listed = re.findall(r'^\| `(\w+)/` \|', text, re.MULTILINE)
    rooms = (ROOT / 'mmleuk').glob('*/__init__.py')
    assert sorted(listed) == sorted(path.parent.name for path in rooms)


def test_the_readme_is_short():
    assert len(read(ROOT / 'README.md').split()) <= 900
