# Copyright (c) mmleuk authors. All rights reserved.
"""Pages of the documentation site, as hooks of MkDocs.

The site has the paths of the repository, so that relative links lead to the
same file here and on GitHub: ``README.md``, ``docs/**``, the README of each
folder of ``configs``, the guides in ``.github``, a page for each other file
that one of these links, and ``api/`` with a page for each package that has
public names.
"""

import ast
import re
from pathlib import Path
from typing import Dict, List

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[3]
LINK = re.compile(r'(?<=\]\()(?![a-z]+:)([^)\s#]+)')


def on_config(config: MkDocsConfig) -> None:
    """Complete the navigation, and make anchors as GitHub does."""
    config.mdx_configs['toc']['slugify'] = slugify(case='lower')
    pages = [{'Overview': 'api/index.md'}]
    for name in public_names():
        pages.append({name.removeprefix('mmleuk.'): f'api/{name}.md'})
    config.nav = [*config.nav, {'API': pages}]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the files of the repository, and the pages of the API."""
    sources = [
        ROOT / 'README.md',
        *sorted(ROOT.glob('configs/*/README.md')),
        *sorted(ROOT.glob('.github/[A-Z]*.md')),
        *sorted(path for path in ROOT.glob('docs/**/*') if path.is_file()),
    ]
    contents = {}
    for source in sources:
        uri = source.relative_to(ROOT).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(source)))
        if source.suffix == '.md':
            for link in LINK.findall(source.read_text(encoding='utf-8')):
                path = (source.parent / link).resolve()
                if is_code(path):
                    name = path.relative_to(ROOT).as_posix()
                    contents[f'{name}.md'] = code_page(path, name)
    names = public_names()
    contents['api/index.md'] = overview(names)
    for package in names:
        contents[f'api/{package}.md'] = api_page(package, names[package])
    for uri, content in contents.items():
        files.append(File.generated(config, uri, content=content))


def on_page_markdown(markdown: str, page: Page, **_) -> str:
    """Lead links to the page of a file of code, or of a folder's README."""
    folder = (ROOT / page.file.src_uri).parent

    def lead(match: re.Match) -> str:
        path = folder / match[1]
        if is_code(path):
            return f'{match[1]}.md'
        if (path / 'README.md').is_file():
            return f'{match[1].rstrip("/")}/README.md'
        return match[1]

    return LINK.sub(lead, markdown)


def is_code(path: Path) -> bool:
    """Whether a path is a file that the site shows as code."""
    if not path.is_file() or path.suffix == '.md':
        return False
    return ROOT / 'docs' not in path.resolve().parents


def code_page(path: Path, name: str) -> str:
    """Make the page that shows a file."""
    language = {'.py': 'python', '.sh': 'bash'}.get(path.suffix, 'text')
    code = path.read_text(encoding='utf-8')
    return f'# {path.name}\n\n`{name}`\n\n````{language}\n{code}````\n'


def public_names() -> Dict[str, List[str]]:
    """List what the packages say is public.

    Returns:
        dict[str, list[str]]: The names in ``__all__``, by package.
    """
    names = {}
    for path in sorted(ROOT.glob('mmleuk/*/**/__init__.py')):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if (
                isinstance(node, ast.Assign)
                and node.targets[0].id == '__all__'
            ):
                package = '.'.join(path.parent.relative_to(ROOT).parts)
                names[package] = ast.literal_eval(node.value)
    return names


def api_page(package: str, names: List[str]) -> str:
    """Make the page of a package.

    Args:
        package (str): Its name.
        names (list[str]): What it exports.

    Returns:
        str: Markdown for mkdocstrings.
    """
    page = f'::: {package}\n'
    for name in sorted(names):
        # griffe takes the module for what it is named after.
        if (ROOT / package.replace('.', '/') / f'{name}.py').is_file():
            page += (
                f'\n::: {package}.{name}.{name}\n'
                '    options:\n'
                '      heading_level: 2\n'
                '      show_root_full_path: false\n'
            )
    return page


def overview(names: Dict[str, List[str]]) -> str:
    """Make the start page of the API."""
    rows = [
        f'| [{package}]({package}.md) | '
        + ', '.join(f'`{name}`' for name in sorted(names[package]))
        + ' |'
        for package in names
    ]
    return '\n'.join(
        [
            '# API',
            '',
            'What the packages export. Names in configs are written '
            "`type='mmleuk.X'`.",
            '',
            '| package | public names |',
            '| --- | --- |',
            *rows,
            '',
        ]
    )
