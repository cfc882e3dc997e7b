# Copyright (c) mmleuk authors. All rights reserved.
"""The fenced blocks of the documentation.

Each is checked by its language:

- ``bash``: ``test_docs_commands.py`` lets bash read the block without running
  its commands, and the parser of each tool read their arguments.
- ``python``: ``test_docs_python.py`` builds configs and runs the rest.
- ``text`` is no code.

A line ``<!-- not run: REASON -->`` above a block excepts it. Its syntax is
still checked, and in Python the names and arguments of what it imports.
"""

import re
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / 'README.md',
        *(ROOT / 'docs').glob('*.md'),
        *(ROOT / 'configs').glob('*/README.md'),
        *(ROOT / '.github').glob('*.md'),
    ]
)
# The changelog also names what is gone.
CURRENT = [page for page in PAGES if page.name != 'changelog.md']
BLOCK = re.compile(
    r'^(?:<!-- not run: (?P<why>\S.*) -->\n)?'
    r'```(?P<language>\S*)\n(?P<code>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    code: str
    why_not_run: Optional[str]


def read(page):
    return page.read_text(encoding='utf-8')


def page_id(page):
    return str(page.relative_to(ROOT))


def blocks_of(page):
    text = read(page)
    for match in BLOCK.finditer(text):
        line = text.count('\n', 0, match.start('code'))
        yield Block(page, line, match['language'], match['code'], match['why'])


def blocks_in(language):
    return [
        block
        for page in PAGES
        for block in blocks_of(page)
        if block.language == language
    ]


def block_id(block):
    return f'{page_id(block.page)}:{block.line}'
