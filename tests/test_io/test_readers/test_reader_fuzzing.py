# Copyright (c) mmleuk authors. All rights reserved.
"""Whatever the input, readers give sound records or the errors they name."""

import copy
import io
import json

import pytest
from faulty_dataset import FaultyDataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.image_header import read_header
from mmleuk.io.readers import READERS, detect_format
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
DOCUMENTED = (AnnotationError, FileNotFoundError)
NAME = '0_1_1000_ALL.png'

# What is likely to be taken for something else.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        [0, 1, 7, '7', 14, 100, -1, 10**400, 1e308, '', '1', NAME, '\ud800']
    ),
    st.text(max_size=5),
)
KEYS = st.sampled_from(
    [
        'images',
        'annotations',
        'categories',
        'id',
        'file_name',
        'image_id',
        'category_id',
        'bbox',
        'name',
        'width',
        'annotated_regions',
        'attributes',
        'iscrowd',
        'nucleolus',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=12,
)
FUZZED = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope='module')
def specimens(tmp_path_factory):
    """A faulty_dataset of each layout."""
    folder = tmp_path_factory.mktemp('fuzzing')
    made = {}
    for layout in READERS:
        made[layout] = FaultyDataset(folder / layout, layout)
        made[layout].write()
    return made


def read(layout, faulty_dataset):
    """Read and hold the records to what they promise."""
    reader = READERS[layout](
        SCHEMA, ImageFolder(str(faulty_dataset.folder / 'images'))
    )
    source = str(faulty_dataset.folder / faulty_dataset.options['ann_file'])
    try:
        detect_format(source)
        fields = reader.read(source)
        problem = None
    except DOCUMENTED as error:
        problem = str(error)
    if problem is not None:
        assert str(faulty_dataset.folder) in problem
        return
    # The records themselves refuse boxes that leave the image.
    assert len({field.file_name for field in fields}) == len(fields)
    for field in fields:
        boxes = [cell.bbox for cell in field.cells]
        assert len(set(boxes)) == len(boxes)
        for cell in field.cells:
            assert SCHEMA.clean(cell.attributes) == cell.attributes
    for unit, (seen, kept, removed) in reader.issues.balance().items():
        assert seen == kept + removed, unit


@FUZZED
@given(content=VALUES)
def test_arbitrary_json(specimens, content):
    faulty_dataset = specimens['sparse_json']
    faulty_dataset.json_path.write_text(json.dumps(content))
    read('sparse_json', faulty_dataset)


@FUZZED
@given(
    images=st.lists(VALUES, max_size=4),
    annotations=st.lists(VALUES, max_size=6),
)
def test_arbitrary_records_beside_good_ones(specimens, images, annotations):
    faulty_dataset = specimens['json']
    content = dict(
        images=faulty_dataset.images + images,
        annotations=annotations + faulty_dataset.annotations,
        categories=faulty_dataset.categories,
    )
    faulty_dataset.json_path.write_text(json.dumps(content))
    read('json', faulty_dataset)


def nodes(content):
    """List every place in a JSON structure: its container and its key."""
    stack, found = [content], []
    while stack:
        node = stack.pop()
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], (dict, list)):
                stack.append(node[key])
    return found


@FUZZED
@given(data=st.data())
def test_valid_json_with_some_values_replaced(specimens, data):
    faulty_dataset = specimens['sparse_json']
    content = copy.deepcopy(
        dict(
            images=faulty_dataset.images,
            annotations=faulty_dataset.annotations,
            categories=faulty_dataset.categories[:3],
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        places = nodes(content)
        node, key = places[data.draw(st.integers(0, len(places) - 1))]
        if data.draw(st.booleans()):
            node[key] = data.draw(VALUES)
        else:
            del node[key]
        if not isinstance(content, dict) or not content:
            break
    faulty_dataset.json_path.write_text(json.dumps(content))
    read('sparse_json', faulty_dataset)


@FUZZED
@given(data=st.data())
def test_valid_json_with_bytes_changed(specimens, data):
    faulty_dataset = specimens['json']
    text = bytearray(faulty_dataset.to_json())
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    text[start:stop] = data.draw(st.binary(max_size=8))
    faulty_dataset.json_path.write_bytes(bytes(text))
    read('json', faulty_dataset)


TOKENS = st.one_of(
    st.sampled_from(
        ['0', '1', '13', '14', '.5', '.2', 'nan', '-inf', '1e999', '4', '40']
    ),
    st.sampled_from(['x', '\ufeff', '1_0', '٣', '']),
    st.text(max_size=4),
)
ROWS = st.lists(TOKENS, min_size=0, max_size=17).map(' '.join)


@FUZZED
@given(
    layout=st.sampled_from(['text', 'sparse_text']),
    rows=st.lists(ROWS, max_size=5),
    tail=st.binary(max_size=3),
)
def test_arbitrary_rows_beside_good_ones(specimens, layout, rows, tail):
    faulty_dataset = specimens[layout]
    stem = NAME[:-4]
    text = '\n'.join([*rows, *faulty_dataset.rows[stem]])
    path = faulty_dataset.folder / 'labels' / f'{stem}.txt'
    path.write_bytes(text.encode('utf-8', 'surrogatepass') + b'\n' + tail)
    read(layout, faulty_dataset)


def picture(form):
    """A small picture with EXIF, as bytes."""
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    image = Image.effect_noise((40, 30), 60).convert('RGB')
    image.save(stream, form, exif=exif)
    return stream.getvalue()


PICTURES = [picture(form) for form in ('PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP')]


@settings(FUZZED, max_examples=300)
@given(data=st.data())
def test_pictures_with_bytes_changed(data):
    content = bytearray(data.draw(st.sampled_from(PICTURES)))
    for _ in range(data.draw(st.integers(1, 3))):
        # Mostly in the header.
        end = data.draw(st.sampled_from([40, 200, len(content)]))
        start = data.draw(st.integers(0, min(end, len(content))))
        stop = data.draw(st.integers(start, min(len(content), start + 9)))
        content[start:stop] = data.draw(st.binary(max_size=9))
    header = read_header(io.BytesIO(bytes(content)))
    if header.fault is None:
        width, height = header.size
        assert width >= 1
        assert height >= 1
