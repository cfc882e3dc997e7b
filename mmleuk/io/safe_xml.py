# Copyright (c) mmleuk authors. All rights reserved.
"""Reading of XML from untrusted sources."""

import codecs
import re
from typing import Any, Callable, Dict, Generator, List, Optional, Union
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from .errors import AnnotationError
from .source_files import MAX_BYTES, read_bytes

# Exports nest about six deep.
MAX_DEPTH = 50

# Python's names of the encodings that expat can't read, and Python can.
MULTI_BYTE = (
    'big5',
    'cp932',
    'cp949',
    'euc_jp',
    'euc_kr',
    'gb18030',
    'gb2312',
    'gbk',
    'shift_jis',
)
_DECLARATION = re.compile(rb'<\?xml\s[^>]*?encoding\s*=\s*["\']([\w.-]+)["\']')


class Element(ElementTree.Element):
    """An XML element that knows its line.

    Attributes:
        line (int): Line on which it starts, from 1.
    """

    line = 0
    # What they find are elements of this class.
    find: Callable[..., Optional['Element']]
    findall: Callable[..., List[Any]]
    iter: Callable[..., Generator['Element', None, None]]

    @property
    def where(self) -> str:
        """str: The element, for messages."""
        return f'line {self.line} <{self.tag}>'


def parse_xml(source: str, max_bytes: int = MAX_BYTES) -> Element:
    """Parse an XML file without a document type.

    Entities, by which a small file can grow without limit or fetch others,
    are declared in a document type (DTD). No export has one.

    Args:
        source (str): The file.
        max_bytes (int): Largest size in bytes.

    Returns:
        Element: The outermost element.

    Raises:
        AnnotationError: If the file is larger, no XML, has a document type or
            nests deeper than ``MAX_DEPTH``.
    """
    content = read_bytes(source, max_bytes)

    def make(tag: str, attributes: Dict[str, str]) -> Element:
        element = Element(tag, attributes)
        element.line = parser.parser.CurrentLineNumber
        return element

    builder = ElementTree.TreeBuilder(element_factory=make)
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    where = ''
    try:
        parser.feed(_decode(content))
        root = parser.close()
        level = [root]
        for _ in range(MAX_DEPTH):
            level = [child for element in level for child in element]
        if not level:
            return root
        where = level[0].where
        problem = f'elements nest deeper than {MAX_DEPTH}'
        fix = 'Check that this is the annotation file'
    except DefusedXmlException:
        where = f'line {parser.parser.CurrentLineNumber}'
        problem = 'got a document type (DTD), expected none'
        fix = 'Delete the <!DOCTYPE ...> if you trust the file'
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        problem = f'the content is no XML: {error}'
        fix = 'Export the file anew, as XML in UTF-8'
    raise AnnotationError(source, where, problem, fix) from None


def _decode(content: bytes) -> Union[bytes, str]:
    """Decode XML that declares an encoding which expat can't read."""
    declaration = _DECLARATION.match(content)
    if declaration is not None:
        name = codecs.lookup(declaration[1].decode('ascii')).name
        if name in MULTI_BYTE:
            # Expat disregards the declaration of a text.
            return content.decode(name)
    return content
