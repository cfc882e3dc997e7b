# Copyright (c) mmleuk authors. All rights reserved.
"""Damaged exports give records or documented errors, nothing else."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelling_exports import (
    CVAT,
    LABEL_STUDIO,
    VOC,
    Exports,
    shape,
    task,
)

from mmleuk.io.errors import AnnotationError
from mmleuk.structures.record import normalise_name

DOCUMENTED = (AnnotationError, FileNotFoundError)
FUZZ = settings(max_examples=60, deadline=None)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return Exports(tmp_path_factory.mktemp('fuzz'))


def check(folder, read, *args, **kwargs):
    """Read; return the fields, or None for an error that names its file."""
    try:
        fields = read(*args, **kwargs)
    except DOCUMENTED as error:
        message = str(error)
        fields = None
    if fields is None:
        assert str(folder.folder) in message
        return None
    report = folder.report
    out = sum(len(field.cells) for field in fields)
    assert report.num_in == out + sum(report.dropped.values())
    return fields


TOKENS = st.sampled_from(
    [
        '',
        '<',
        '>',
        '"',
        '<box>',
        '</image>',
        '<!DOCTYPE a>',
        '<!--',
        '&#0;',
        '&x;',
        '\0',
        'nan',
        '-1e308',
        '1e999',
        '..',
        '../../x',
        '\u2028',
        'annotated region',
        '9' * 5000,
        'x' * 5000,
    ]
) | st.text(max_size=8)


@FUZZ
@given(
    st.data(),
    st.sampled_from([('cvat', CVAT), ('voc', VOC)]),
)
def test_damaged_xml(folder, data, export):
    source_format, text = export
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        text = text[:start] + data.draw(TOKENS) + text[end:]
    check(folder, folder.read, source_format, text.encode('utf-8', 'replace'))


@FUZZ
@given(
    st.data(),
    st.sampled_from([('cvat', CVAT), ('voc', VOC)]),
)
def test_values_in_xml(folder, data, export):
    # Well-formed, so that the damage gets past the parser.
    source_format, text = export
    quoted = text.split('"')
    if source_format == 'cvat' and data.draw(st.booleans()):
        place = data.draw(st.integers(3, len(quoted) // 2 - 1)) * 2 + 1
        quoted[place] = escape(data.draw(TOKENS))
        text = '"'.join(quoted)
    else:
        parts = text.split('>')
        place = data.draw(st.integers(1, len(parts) - 1))
        _, less, rest = parts[place].partition('<')
        parts[place] = escape(data.draw(TOKENS)) + less + rest
        text = '>'.join(parts)
    check(folder, folder.read, source_format, text.encode('utf-8', 'replace'))


def escape(text):
    for character, name in (('&', 'amp'), ('<', 'lt'), ('"', 'quot')):
        text = text.replace(character, f'&{name};')
    return text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(['../a.png', 10**400, '\ud800', 'b.jpg', -1e308]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(['id', 'value', 'result', 'type', 'x', 'choices']),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)


def places(value, path=()):
    """All paths into a JSON value."""
    yield path
    items = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from places(inner, (*path, key))


COCO = dict(
    images=[
        dict(id=1, file_name='a.png', width=64, height=48),
        dict(id=2, file_name='b.jpg', annotated_regions=[[0, 0, 9, 9]]),
    ],
    annotations=[
        dict(
            id=1,
            image_id=1,
            category_id=1,
            bbox=[1, 1, 9, 9],
            iscrowd=0,
            attributes={'Cell Size': 'small', 'ignored': False},
        ),
        dict(id=2, image_id=2, category_id=1, bbox=[1, 1, 9, 9], nucleolus=1),
        dict(id=3, image_id=1, category_id=1, segmentation=[[1, 1, 5, 9]]),
        dict(
            id=4,
            image_id=1,
            category_id=1,
            segmentation=dict(size=[48, 64], counts=[9, 9, 3054]),
        ),
    ],
    categories=[dict(id=1, name='monocyte')],
)
SHAPES = task(
    'a.png',
    shape('ellipse', x=50, y=50, radiusX=9, radiusY=9, rotation=9),
    shape('polygon', points=[[5, 5], [9, 5], [9, 9]]),
    shape('vector', vertices=[dict(x=5, y=5), dict(x=9, y=9)]),
    # 12288 bytes: one run of all of them, all 255.
    shape('brush', rle=[0, 0, 48, 0, 57, 27, 255, 47, 255, 255]),
    number=3,
)
SOUND = dict(label_studio=[*LABEL_STUDIO[1:], SHAPES], coco=COCO)
PLACES = {name: list(places(value))[1:] for name, value in SOUND.items()}


@FUZZ
@given(st.data(), st.sampled_from(sorted(SOUND)))
def test_damaged_json(folder, data, source_format):
    content = copy.deepcopy(SOUND[source_format])
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(PLACES[source_format]))
        place = content
        try:
            for key in path:
                place = place[key]
            place[last] = data.draw(JSON)
        except (TypeError, KeyError, IndexError):
            continue  # An earlier damage took the place away.
    check(folder, folder.read, source_format, json.dumps(content))


@FUZZ
@given(JSON, st.sampled_from(sorted(SOUND)))
def test_other_json(folder, value, source_format):
    check(folder, folder.read, source_format, json.dumps(value))


NAMES = st.text(max_size=12) | st.sampled_from(
    ['names: ', 'names:\n 0: a', '!!binary x', '&a [*a]', 'names: [*b]', '- -']
    + ['monocyte', 'names: [monocyte]', '\ufeffmonocyte']
)


@FUZZ
@given(
    st.lists(NAMES, max_size=4).map('\n'.join),
    st.sampled_from(['data.yaml', 'classes.txt', 'obj.names']),
)
def test_damaged_class_names(folder, text, name):
    """A cell of class 0 is there with its name, or the file is refused."""
    labels = folder.write('yolo/labels/a.txt', '0 .5 .5 .2 .2').parent
    content = text.encode('utf-8', 'replace')
    path = folder.write(f'yolo/{name}', content)
    fields = check(
        folder, folder.read_path, 'yolo', labels, names_file=str(path)
    )
    if fields is None:
        category = ''
    else:
        ((category,),) = [
            [cell.category for cell in field.cells]
            for field in fields
            if field.file_name == 'a.png'
        ]
        assert category == normalise_name(category) != ''
    if name != 'data.yaml':
        lines = content.decode('utf-8-sig').splitlines() or ['']
        assert category == normalise_name(lines[0])
