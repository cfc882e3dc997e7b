# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.readers import (
    JsonReader,
    SparseJsonReader,
    SparseTextReader,
    YoloTextReader,
)
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
SIZES = [(640, 640), (640, 480), (97, 331)]


@st.composite
def fields(draw):
    """A field: its size, cells around which the region lies, the region."""
    size = draw(st.sampled_from(SIZES))
    region = []
    for side in size:
        start = draw(st.integers(0, side - 20))
        region.append((start, draw(st.integers(start + 10, side))))
    (x1, x2), (y1, y2) = region
    cells = []
    for index in range(draw(st.integers(1, 6))):
        # Some boxes reach over the edge of region and image. The index keeps
        # boxes different: which label a duplicate has is no format's matter.
        x = draw(st.integers(x1, x2 - 1)) + index / 10
        y = draw(st.integers(y1, y2 - 1)) + index / 10
        w, h = draw(st.integers(4, 120)), draw(st.integers(4, 120))
        cells.append(
            dict(
                category_id=draw(st.integers(0, len(LLD_CLASSES) - 1)),
                bbox=(x - w / 2, y - h / 2, x + w / 2, y + h / 2),
                codes=draw(
                    st.tuples(*[st.sampled_from((0, 1, 2, 4))] * len(SCHEMA))
                ),
            )
        )
    return size, cells, (x1, y1, x2, y2)


def assert_same(field, expected, without_size=False):
    assert (field.width, field.height) == (expected.width, expected.height)
    assert field.annotated_regions == expected.annotated_regions
    assert len(field.cells) == len(expected.cells)
    for cell, other in zip(field.cells, expected.cells):
        # Six decimals of an image of 640 pixels.
        assert cell.bbox == pytest.approx(other.bbox, abs=2e-3)
        assert cell.category == other.category
        codes = other.attributes
        assert cell.attributes == ((-1, *codes[1:]) if without_size else codes)
        assert cell.ignored == other.ignored


@pytest.fixture(scope='module')
def folder(tmp_path_factory, lld_files):
    folder = tmp_path_factory.mktemp('fields')
    for i, size in enumerate(SIZES):
        lld_files.image(folder / f'images{i}' / 'a.png', size)
    return folder


@settings(max_examples=60, deadline=None)
@given(data=fields())
def test_all_formats_give_the_same_record(folder, lld_files, data):
    size, cells, region = data
    images = ImageFolder(str(folder / f'images{SIZES.index(size)}'))

    def read_json(reader_class, **entry):
        image = dict(id=3, file_name='a.png', width=size[0], height=size[1])
        annotations = []
        for i, cell in enumerate(cells):
            x1, y1, x2, y2 = cell['bbox']
            annotations.append(
                lld_files.annotation(
                    i,
                    3,
                    (x1, y1, x2 - x1, y2 - y1),
                    cell['category_id'],
                    cell['codes'],
                    nested=i % 2 == 1,
                )
            )
        path = lld_files.json(
            folder / 'a.json', [dict(image, **entry)], annotations
        )
        (field,) = reader_class(SCHEMA, images).read(path)
        return field

    def read_text(reader_class, first, region=(), **kwargs):
        rows = [
            lld_files.row(
                cell['category_id'],
                cell['bbox'],
                size,
                cell['codes'][first:],
                region,
            )
            for cell in cells
        ]
        lld_files.text(folder / 'labels' / 'a.txt', *rows)
        reader = reader_class(SCHEMA, images, **kwargs)
        (field,) = reader.read(str(folder / 'labels'))
        return field

    dense = read_json(JsonReader)
    # The oracle of the first format is the data itself.
    inside = [
        (
            max(x1, 0),
            max(y1, 0),
            min(x2, size[0]),
            min(y2, size[1]),
        )
        for x1, y1, x2, y2 in (cell['bbox'] for cell in cells)
    ]
    kept = [
        (cell, box)
        for cell, box in zip(cells, inside)
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1
    ]
    assert len(dense.cells) == len(kept)
    for cell, (raw, box) in zip(dense.cells, kept):
        assert cell.bbox == pytest.approx(box)
        assert cell.category == LLD_CLASSES[raw['category_id']]
        assert cell.attributes == tuple(
            code if code < count and raw['category_id'] else -1
            for code, count in zip(raw['codes'], (3, 2, 2, 2, 2, 2, 2))
        )

    assert_same(read_text(YoloTextReader, 0), dense)
    assert_same(read_text(YoloTextReader, 1), dense, without_size=True)

    sparse = read_json(SparseJsonReader, annotated_regions=[list(region)])
    assert sparse.annotated_regions == (region,)
    assert sparse.cells == dense.cells
    x1, y1, x2, y2 = region
    for order, numbers in (
        ('x1x2y1y2', (x1, x2, y1, y2)),
        ('x1y1x2y2', region),
    ):
        for first in (0, 1):
            field = read_text(
                SparseTextReader, first, numbers, region_order=order
            )
            assert_same(field, sparse, without_size=first == 1)
