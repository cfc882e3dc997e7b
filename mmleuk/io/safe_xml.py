# Copyright (c) mmleuk authors. All rights reserved.
"""Reading of XML that nobody vouches for."""

from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional
from xml.parsers import expat

from .errors import AnnotationError
from .source_files import MAX_BYTES, read_bytes

# Exports nest about six deep. What nests deeper is no export.
MAX_DEPTH = 50


@dataclass
class Element:
    """One element of an XML file.

    The standard library's elements do not know their line, which messages
    need.

    Args:
        tag (str): Its name.
        attributes (dict[str, str]): Its attributes.
        line (int): Line on which it starts, from 1.
        children (list[Element]): The elements in it.
        text (str): The text in it, without that of its children.
    """

    tag: str
    attributes: Dict[str, str]
    line: int
    children: List['Element'] = field(default_factory=list)
    text: str = ''

    @property
    def where(self) -> str:
        """str: The element, for messages."""
        return f'line {self.line} <{self.tag}>'

    def all(self, tag: str) -> Iterator['Element']:
        """Find children.

        Args:
            tag (str): Their name.

        Yields:
            Element: One child after the other.
        """
        return (child for child in self.children if child.tag == tag)

    def find(self, tag: str) -> Optional['Element']:
        """Find the first child of a name.

        Args:
            tag (str): The name.

        Returns:
            Element | None: The child.
        """
        return next(self.all(tag), None)


def parse_xml(
    source: str,
    max_bytes: int = MAX_BYTES,
    backend_args: Optional[dict] = None,
) -> Element:
    """Parse an XML file without a document type.

    Entities, by which a small file can grow without bound or fetch others,
    are declared in a document type (DTD). No export has one, so the first
    one met is an error, as with ``forbid_dtd`` of defusedxml.

    Args:
        source (str): The file.
        max_bytes (int): Largest size in bytes. Defaults to ``MAX_BYTES``.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None.

    Returns:
        Element: The outermost element.

    Raises:
        AnnotationError: If the file is larger, no XML, has a document type or
            nests deeper than ``MAX_DEPTH``.
    """
    content = read_bytes(source, max_bytes, backend_args)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    top = Element('', {}, 0)
    path = [top]

    def fail(problem: str, mend: str) -> None:
        raise AnnotationError(
            source, f'line {parser.CurrentLineNumber}', problem, mend
        )

    def start_doctype(*_: object) -> None:
        fail(
            'got a document type (DTD), expected none',
            'Delete the <!DOCTYPE ...> if you trust the file',
        )

    def start(tag: str, attributes: Dict[str, str]) -> None:
        if len(path) > MAX_DEPTH:
            fail(
                f'elements nest deeper than {MAX_DEPTH}',
                'Check that this is the annotation file',
            )
        element = Element(tag, attributes, parser.CurrentLineNumber)
        path[-1].children.append(element)
        path.append(element)

    def end(_: str) -> None:
        path.pop()

    def add_text(text: str) -> None:
        path[-1].text += text

    parser.StartDoctypeDeclHandler = start_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add_text
    try:
        parser.Parse(content, True)
    except AnnotationError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise AnnotationError(
            source,
            '',
            f'the content is no XML: {error}',
            'Export the file anew',
        ) from None
    return top.children[0]
