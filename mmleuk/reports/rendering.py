# Copyright (c) mmleuk authors. All rights reserved.
import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from . import wording

# Nothing may be fetched, sent or embedded except from the page itself, and
# only the style and script of these hashes run: text from a file that became
# markup would have no effect.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
    "script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader('mmleuk.reports', 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        confidence=wording.confidence,
        interval=wording.interval,
        # A place on a scale from 0 to 1, as attributes of SVG have it.
        place=lambda share: f'{100 * share:.2f}%',
        colour=lambda rgb: '#{:02x}{:02x}{:02x}'.format(*rgb),
    )
    environment.globals.update(number=wording.number)
    return environment


def _read(name: str) -> str:
    environment = _environment()
    return environment.loader.get_source(environment, name)[0]


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode('utf-8')).digest()
    return base64.b64encode(digest).decode('ascii')


def _css_string(text: str) -> str:
    """Write any text as a string of CSS that cannot end early."""
    text = ''.join(
        char if char.isascii() and char.isalnum() else f'\\{ord(char):06x}'
        for char in text
        if not 0xD800 <= ord(char) < 0xE000 and ord(char)
    )
    return f'"{text}"'


def render(template: str, footer: str, **context: Any) -> str:
    """Make a page that needs nothing but itself.

    Args:
        template (str): Name of the template.
        footer (str): Text at the foot of each printed page.
        **context: Variables of the template, all escaped.

    Returns:
        str: The page.
    """
    style = _read('report.css') + (
        f'@page {{ @bottom-left {{ content: {_css_string(footer)}; }} }}\n'
    )
    script = _read('report.js')
    policy = _POLICY.format(style=_digest(style), script=_digest(script))
    return (
        _environment()
        .get_template(template)
        .render(
            **context,
            policy=Markup(policy),
            style=Markup(style),
            script=Markup(script),
        )
    )
