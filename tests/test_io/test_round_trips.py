# Copyright (c) mmleuk authors. All rights reserved.
import json

import pytest
from converter_fields import (
    SCHEMA,
    SIZES,
    assert_same,
    each_region_has_a_cell,
    read,
    records,
    write_images,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmleuk.io import TARGET_FORMATS, ConversionReport
from mmleuk.io.readers import REGION_ORDERS
from mmleuk.io.writers.json_writers import make_lld_json, write_lld_json
from mmleuk.structures import LLD_ATTRIBUTES, MISSING, AttributeSchema
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import CellRecord, FieldRecord

CASES = settings(max_examples=40, deadline=None)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


class Trip:
    """Writes records in a format and reads them."""

    def __init__(self, tmp_path_factory, images):
        self.make_folder = lambda: tmp_path_factory.mktemp('trip')
        self.images = images

    def fit(self, name, fields, schema=SCHEMA, **options):
        self.report = ConversionReport()
        self.writer = TARGET_FORMATS[name](schema, LLD_CLASSES, **options)
        return self.writer.fit(fields, self.report)

    def __call__(self, name, fields, **settings):
        target = self.make_folder() / 'labels'
        self.writer.write(fields, str(target), self.report)
        if name == 'yolo':
            assert (target / 'classes.txt').exists()
        return read(target, name, self.images, self.writer.schema, **settings)


@pytest.fixture(scope='module')
def trip(tmp_path_factory, images):
    return Trip(tmp_path_factory, images)


def unannotated(fields):
    """The fields, and the other images of the folder as not annotated.

    Text labels speak of every image of their folder.
    """
    known = {field.file_name: field for field in fields}
    return [
        known.get(name, FieldRecord(name, *SIZES[name], annotated_regions=()))
        for name in sorted(SIZES)
    ]


@CASES
@given(fields=records())
@pytest.mark.parametrize('name', ['sparse_json', 'coco'])
def test_sparse_json_and_coco_hold_everything(trip, name, fields):
    assert trip.fit(name, fields) == fields
    assert not trip.report.lost
    assert_same(trip(name, fields), fields, with_ids=True)


@CASES
@given(fields=records())
@pytest.mark.parametrize('name', ['json', 'nested_json'])
def test_json_holds_all_but_regions(trip, name, fields):
    fitting = trip.fit(name, fields)
    assert bool(trip.report.lost) == (
        not all(field.is_fully_annotated for field in fields)
    )
    assert sum(trip.report.lost.values()) == sum(
        not field.is_fully_annotated for field in fields
    )
    assert not trip.report.dropped
    if not trip.report.lost:
        assert_same(fitting, fields, with_ids=True)
    assert_same(trip(name, fitting), fitting, with_ids=True)


@CASES
@given(fields=records())
@pytest.mark.parametrize('name', ['cvat', 'label_studio'])
def test_labelling_tools_hold_everything(trip, name, fields):
    assert trip.fit(name, fields) == fields
    assert not trip.report.lost
    # Nothing in the file tells that no image is annotated: a note says so.
    nothing = not any(
        field.is_fully_annotated or field.annotated_regions for field in fields
    )
    unmarked = 'nothing' if nothing else 'auto'
    assert_same(trip(name, fields, unmarked=unmarked), fields)
    assert bool(trip.report.notes) == nothing


@CASES
@given(fields=records())
def test_voc_holds_all_but_regions(trip, fields):
    fitting = trip.fit('voc', fields)
    assert bool(trip.report.lost) == (
        not all(field.is_fully_annotated for field in fields)
    )
    assert_same(trip('voc', fitting), fitting)


@CASES
@given(fields=records(), cell_size=st.booleans())
def test_text(trip, fields, cell_size):
    fitting = trip.fit('text', fields, cell_size=cell_size)
    lost = any(
        cell.ignored or (not cell_size and cell.attributes[0] != MISSING)
        for field in fields
        for cell in field.cells
    ) or not all(
        field.is_fully_annotated
        or (field.annotated_regions == () and not field.cells)
        for field in fields
    )
    assert bool(trip.report.lost) == lost
    if not lost:
        assert_same(fitting, fields)
    assume(any(field.annotated_regions is None for field in fitting))
    assert_same(trip('text', fitting), unannotated(fitting))


@CASES
@given(
    fields=records(),
    cell_size=st.booleans(),
    order=st.sampled_from(sorted(REGION_ORDERS)),
)
def test_sparse_text(trip, fields, cell_size, order):
    fitting = trip.fit(
        'sparse_text', fields, cell_size=cell_size, region_order=order
    )

    def held(field):
        if any(
            cell.ignored or (not cell_size and cell.attributes[0] != MISSING)
            for cell in field.cells
        ):
            return False
        if field.is_fully_annotated:
            return bool(field.cells)
        if field.annotated_regions == ():
            return not field.cells
        return each_region_has_a_cell(field)

    assert bool(trip.report.lost) == (not all(map(held, fields)))
    if not trip.report.lost:
        assert_same(fitting, fields)
    assert_same(
        trip('sparse_text', fitting, region_order=order),
        unannotated(fitting),
    )
    assert order in trip.report.notes[0]


@CASES
@given(fields=records())
def test_yolo_holds_classes_and_boxes(trip, fields):
    fitting = trip.fit('yolo', fields)
    lost = any(
        cell.ignored or set(cell.attributes) != {MISSING}
        for field in fields
        for cell in field.cells
    ) or not all(
        field.is_fully_annotated
        or (field.annotated_regions == () and not field.cells)
        for field in fields
    )
    assert bool(trip.report.lost) == lost
    assume(any(field.annotated_regions is None for field in fitting))
    back = trip('yolo', fitting)
    assert_same(back, unannotated(fitting))
    boxes = [cell.bbox for field in fitting for cell in field.cells]
    assert boxes == [
        cell.bbox
        for field in fields
        for cell in field.cells
        if not cell.ignored
    ]


@pytest.mark.parametrize('name', sorted(TARGET_FORMATS))
@pytest.mark.parametrize('corner', [(0, 0), (63, 47), (31, 7)])
def test_the_smallest_cell_survives(trip, name, corner):
    x, y = corner
    missing = (MISSING,) * len(SCHEMA)
    cell = CellRecord((x, y, x + 1, y + 1), 'monocyte', missing)
    fields = [FieldRecord('a.png', 64, 48, (cell,))]
    assert trip.fit(name, fields) == fields
    options = {}
    if name == 'sparse_text':
        options['region_order'] = 'x1y1x2y2'
    assert_same(trip(name, fields, **options)[:1], fields)


@pytest.mark.parametrize('name', ['text', 'sparse_text'])
def test_missing_codes_of_text(trip, tmp_path, images, name):
    options = {}
    if name == 'sparse_text':
        options['region_order'] = 'x1y1x2y2'
    missing = (MISSING,) * len(SCHEMA)
    cells = (
        CellRecord((0, 0, 9, 9), 'none', missing),
        CellRecord((20, 0, 29, 9), 'monocyte', missing),
        CellRecord((40, 0, 49, 9), 'monocyte', (2, 1, MISSING, 0, 1, 0, 1)),
    )
    fields = [FieldRecord('a.png', 64, 48, cells)]
    assert trip.fit(name, fields) == fields
    assert_same(trip(name, fields, **options)[:1], fields)
    trip.writer.write(fields, str(tmp_path / 'labels'), trip.report)
    rows = (tmp_path / 'labels' / 'a.txt').read_text().splitlines()
    assert [row.split()[-7:] for row in rows] == [
        list('2222222'),
        list('4222222'),
        list('2120101'),
    ]


@pytest.mark.parametrize('name', sorted(TARGET_FORMATS))
def test_attributes_of_a_class_without_are_a_loss(trip, name):
    cells = (CellRecord((0, 0, 9, 9), 'none', (2, *[1] * 6)),)
    (fitting,) = trip.fit(name, [FieldRecord('a.png', 64, 48, cells)])
    assert fitting.cells[0].attributes == (MISSING,) * len(SCHEMA)
    assert trip.report.lost == {
        'attributes of cells of a class without attributes': 1
    }


@pytest.mark.parametrize('name', ['sparse_json', 'nested_json', 'coco'])
def test_an_attribute_of_many_values(trip, name):
    # Here LLD's 4, "not applicable", is a value.
    schema = AttributeSchema([dict(name='grade', values=tuple('abcdef'))])
    cells = tuple(
        CellRecord((i, 0, i + 2, 2), 'monocyte', (i,)) for i in range(6)
    ) + (CellRecord((9, 0, 11, 2), 'monocyte', (MISSING,)),)
    fields = [FieldRecord('a.png', 64, 48, cells, image_id='x')]
    assert trip.fit(name, fields, schema=schema) == fields
    assert trip(name, fields) == fields


def test_ids_that_are_not_unique_are_numbered_anew(trip):
    fields = [
        FieldRecord(name, *SIZES[name], image_id=1)
        for name in ('a.png', 'b.jpg')
    ]
    trip.fit('json', fields)
    assert [field.image_id for field in trip('json', fields)] == [0, 1]


def test_a_label_file_holds_what_the_records_hold(tmp_path):
    schema = AttributeSchema(LLD_ATTRIBUTES)
    bbox = (0.1, 0.2, 10.3, 20.5)
    cell = CellRecord(
        bbox, 'none', (1, MISSING, *[0] * 5), True, dict(score=2)
    )
    fields = [FieldRecord('a.png', 30, 30, (cell,), ((0, 0, 9, 9),))]
    path = tmp_path / 'new' / 'labels.json'
    write_lld_json(fields, path, schema, LLD_CLASSES)
    (image,), (annotation,), categories = json.loads(path.read_text()).values()
    assert image == dict(
        id=0,
        file_name='a.png',
        width=30,
        height=30,
        annotated_regions=[[0, 0, 9, 9]],
    )
    assert [item['name'] for item in categories] == list(LLD_CLASSES)
    assert annotation['bbox'] == [0.1, 0.2, 10.2, 20.3]
    assert annotation['score'] == 2
    assert annotation['iscrowd'] == 1
    assert annotation['nuclear_chromatio'] == 4
    content = make_lld_json(fields, schema, LLD_CLASSES, state_missing=False)
    assert 'nuclear_chromatio' not in content['annotations'][0]
