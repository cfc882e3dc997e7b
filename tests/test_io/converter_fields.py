# Copyright (c) mmleuk authors. All rights reserved.
"""Random records, and what is equal about records of two formats."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from PIL import Image

from mmleuk.io import ConversionReport, ReadSettings, read_fields
from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import CellRecord, FieldRecord

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
SIZES = {'a.png': (64, 48), 'b.jpg': (97, 331), 'c.png': (640, 480)}


def write_images(folder, sizes=SIZES):
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', size).save(path)
    return folder


@st.composite
def boxes(draw, size):
    """A box whose corners are thousandths of pixels."""
    corners = []
    for side in size:
        start = draw(st.integers(0, side * 1000 - 1001))
        end = draw(st.integers(start + 1001, side * 1000))
        corners.append((start / 1000, end / 1000))
    (x1, x2), (y1, y2) = corners
    return x1, y1, x2, y2


def codes(schema):
    """Codes of a cell; one number for all, which draws faster."""
    count = math.prod(size + 1 for size in schema.sizes)

    def decode(number):
        digits = []
        for size in schema.sizes:
            number, digit = divmod(number, size + 1)
            digits.append(digit - 1)
        return tuple(digits)

    return st.integers(0, count - 1).map(decode)


@st.composite
def records(draw, schema=SCHEMA, classes=LLD_CLASSES):
    """Records of one to three images."""
    names = draw(
        st.lists(st.sampled_from(list(SIZES)), min_size=1, unique=True)
    )
    fields = []
    for number, name in enumerate(sorted(names)):
        size = SIZES[name]
        cells = []
        for box in draw(st.lists(boxes(size), max_size=4, unique=True)):
            category = draw(st.sampled_from(classes))
            attributes = draw(codes(schema))
            # As readers leave it.
            if category == 'none':
                attributes = (MISSING,) * len(schema)
            ignored = draw(st.booleans()) and draw(st.booleans())
            cells.append(CellRecord(box, category, attributes, ignored))
        regions = draw(
            st.none() | st.lists(boxes(size), max_size=3, unique=True)
        )
        if regions and cells and draw(st.booleans()):
            # As in real data: the regions are around cells.
            regions = [cell.bbox for cell in cells[: len(regions)]]
        fields.append(
            FieldRecord(
                name,
                *size,
                tuple(cells),
                None if regions is None else tuple(dict.fromkeys(regions)),
                image_id=10 + number,
            )
        )
    return fields


def read(source, source_format, images, schema=SCHEMA, **settings):
    """Read what was written, with nothing lost on the way."""
    report = ConversionReport()
    fields = read_fields(
        str(source),
        source_format,
        ReadSettings(str(images), schema, **settings),
        report,
    )
    assert not report.dropped
    assert not report.unread
    assert report.num_in == sum(len(field.cells) for field in fields)
    return fields


def assert_same(fields, expected, with_ids=False):
    """Same meaning: regions in any order, a region over all is all."""
    assert [field.file_name for field in fields] == [
        field.file_name for field in expected
    ]
    for field, other in zip(fields, expected):
        assert (field.width, field.height) == (other.width, other.height)
        if with_ids:
            assert field.image_id == other.image_id
        assert field.is_fully_annotated == other.is_fully_annotated
        if not field.is_fully_annotated:
            assert sorted(field.annotated_regions) == [
                pytest.approx(region, abs=1e-6)
                for region in sorted(other.annotated_regions)
            ]
        assert len(field.cells) == len(other.cells)
        for cell, other_cell in zip(field.cells, other.cells):
            assert cell.bbox == pytest.approx(other_cell.bbox, abs=1e-6)
            assert replace(cell, bbox=other_cell.bbox) == other_cell


def _inside(region, cell):
    x = (cell.bbox[0] + cell.bbox[2]) / 2
    y = (cell.bbox[1] + cell.bbox[3]) / 2
    return region[0] <= x <= region[2] and region[1] <= y <= region[3]


def each_region_has_a_cell(field):
    """Whether every region can be named by a cell of its own, by trial."""
    regions = field.annotated_regions
    if len(regions) == 1:
        return bool(field.cells)
    return any(
        all(map(_inside, regions, choice))
        for choice in itertools.permutations(field.cells, len(regions))
    )
