# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.safe_xml import MAX_DEPTH, parse_xml

# Ten levels of ten: 10**10 times "lol".
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol0 "lol">'
    + ''.join(
        f'<!ENTITY lol{i} "{f"&lol{i - 1};" * 10}">' for i in range(1, 11)
    )
    + ']><annotations>&lol10;</annotations>'
)


def write(tmp_path, content):
    path = tmp_path / 'a.xml'
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return str(path)


def test_elements_know_their_line(tmp_path):
    root = parse_xml(
        write(tmp_path, '<a x="1">\n<b/>t<b>\n<c/>u &amp; v</b>\n</a>')
    )
    assert (root.tag, root.attrib, root.line) == ('a', {'x': '1'}, 1)
    first, second = root.findall('b')
    assert root.find('b') is first
    assert root.find('z') is None
    assert (first.line, second.line) == (2, 2)
    assert second.find('c').where == 'line 3 <c>'
    assert ''.join(second.itertext()).strip() == 'u & v'


@pytest.mark.parametrize(
    'content',
    [
        LAUGHS,
        LAUGHS.replace('?>', ' encoding="utf-16"?>', 1).encode('utf-16'),
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a/>',
    ],
)
def test_document_types_are_refused(tmp_path, content):
    with pytest.raises(AnnotationError, match='a.xml, line 1: got a document'):
        parse_xml(write(tmp_path, content))


@pytest.mark.parametrize(
    'content',
    [
        '',
        '<a>',
        '<a></b>',
        '<a/><b/>',
        'a',
        '<a>&lol;</a>',
        b'\xff\xfe<\x00',
        '<?xml version="1.0" encoding="klingon"?><a/>',
        '<?xml version="1.0" encoding="rot13"?><a/>',
        # Bytes that the encoding does not have.
        b'<?xml version="1.0" encoding="gb2312"?><a>\xff\xff</a>',
        b'<?xml version="1.0" encoding="shift_jis"?><a>\x81</a>',
        '<a>\x00</a>',
    ],
)
def test_broken_files(tmp_path, content):
    with pytest.raises(AnnotationError, match='the content is no XML'):
        parse_xml(write(tmp_path, content))


@pytest.mark.parametrize(
    'encoding', ['gb2312', 'GBK', 'gb18030', 'Shift_JIS', 'EUC-JP', 'Big5']
)
def test_encodings_that_expat_can_not_read(tmp_path, encoding):
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    content = f'{head}<a name="中">\n<b>白</b></a>'.encode(encoding)
    root = parse_xml(write(tmp_path, content))
    assert root.get('name') == '中'
    assert (root.find('b').text, root.find('b').line) == ('白', 3)
    for declaration in ('<!DOCTYPE a>', '<!DOCTYPE a [<!ENTITY b "白">]>'):
        content = f'{head}{declaration}<a/>'.encode(encoding)
        with pytest.raises(AnnotationError, match='got a document type'):
            parse_xml(write(tmp_path, content))


def test_depth_and_size_are_bounded(tmp_path):
    deep = '<a>' * MAX_DEPTH + '</a>' * MAX_DEPTH
    assert parse_xml(write(tmp_path, deep)).tag == 'a'
    with pytest.raises(AnnotationError, match='nest deeper'):
        parse_xml(write(tmp_path, f'<a>{deep}</a>'))
    large = write(tmp_path, f'<a>{"x" * 2**20}</a>')
    assert parse_xml(large, max_bytes=2**21).tag == 'a'
    with pytest.raises(AnnotationError, match='has 1 MiB, expected at most 1'):
        parse_xml(large, max_bytes=2**20)
    with pytest.raises(FileNotFoundError):
        parse_xml(str(tmp_path / 'absent.xml'))
