# Copyright (c) mmleuk authors. All rights reserved.
"""Reads docstrings in the style of MMDetection as Markdown."""

import re

import griffe

# :obj:`X` in the type of an argument, which mkdocstrings links itself.
TYPE = re.compile(r':obj:`[~.]?([^`]+)`')
# :class:`X` and :class:`~package.X`
ROLE = re.compile(r':[a-z]+:`[~.]?([^`]+)`')
MARKUP = [
    # A block of code after a colon, or after a directive.
    (re.compile(r'::$', re.MULTILINE), ':'),
    (re.compile(r'^\s*\.\. [a-z-]+:.*$', re.MULTILINE), ''),
    # `text <address>`_
    (re.compile(r'`([^`<]+?)\s+<([^>]+)>`_+'), r'[\1](\2)'),
]


class Roles(griffe.Extension):
    """Replaces roles, directives and links of all docstrings."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        """Rewrite the docstring of an object.

        Args:
            obj (griffe.Object): A module, class, function or attribute.
        """
        if obj.docstring is None:
            return
        text = TYPE.sub(r'\1', obj.docstring.value)
        text = ROLE.sub(lambda match: link(obj, match[1]), text)
        for pattern, markdown in MARKUP:
            text = pattern.sub(markdown, text)
        obj.docstring.value = text

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_) -> None:
        """Show a constant, with the comment above it.

        Args:
            attr (griffe.Attribute): An attribute of a module or a class.
        """
        if not (attr.parent.is_module and attr.name.isupper()):
            return
        lines = attr.lines_collection[attr.filepath][: attr.lineno - 1]
        comment = []
        while lines and lines[-1].startswith('# '):
            comment.insert(0, lines.pop()[2:])
        attr.docstring = griffe.Docstring('\n'.join(comment), parent=attr)


def link(obj: griffe.Object, name: str) -> str:
    """Link a name if the site has it, as seen from an object."""
    try:
        path = obj.resolve(name)
    except griffe.NameResolutionError:
        return f'`{name}`'
    return f'<autoref identifier="{path}" optional>`{name}`</autoref>'
