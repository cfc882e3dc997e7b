# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.readers import JsonReader
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.record import CellRecord

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
NAME = '4_15_1000_ALL.png'
IMAGE = dict(id=7, file_name=NAME, width=64, height=48)
CODES = (2, 1, 0, 1, 0, 1, 0)


@pytest.fixture
def read(tmp_path, lld_files):
    """Write one file, read it, and give fields and counts of issues."""

    def _read(images=(IMAGE,), annotations=(), refused=False, **kwargs):
        for image in images:
            if 'file_name' in image:
                lld_files.image(tmp_path / image['file_name'])
        path = lld_files.json(
            tmp_path / 'train.json', list(images), list(annotations), **kwargs
        )
        reader = JsonReader(SCHEMA, ImageFolder(str(tmp_path)))
        if refused:
            with pytest.raises(AnnotationError) as error:
                reader.read(path)
            return str(error.value), dict(reader.issues.counts)
        return reader.read(path), dict(reader.issues.counts)

    return _read


def test_released_layout(read, lld_files):
    (field,), counts = read(
        annotations=[
            lld_files.annotation(0, 7, (10, 5, 20.5, 30), 4, CODES),
            lld_files.annotation(1, 7, (0, 0, 9, 9), 0, (4,) * 7, iscrowd=1),
        ]
    )
    assert (field.file_name, field.image_id) == (NAME, 7)
    assert (field.width, field.height) == (64, 48)
    assert field.annotated_regions is None
    cell, crowd = field.cells
    assert cell.bbox == (10, 5, 30.5, 35)
    assert cell.category == 'atypical lymphocyte'
    assert cell.attributes == CODES
    assert (cell.ignored, crowd.ignored) == (False, True)
    assert crowd.attributes == (-1,) * 7
    assert counts == {}


@pytest.mark.parametrize('nested', [False, True])
@pytest.mark.parametrize('key', ['nuclear_chromatio', 'nuclear_chromatin'])
def test_drafts_and_both_spellings(read, lld_files, nested, key):
    keys = [key if 'chromat' in name else name for name in SCHEMA.names]
    annotation = lld_files.annotation(
        0, 7, (1, 1, 9, 9), codes=CODES, keys=keys, nested=nested
    )
    (field,), _ = read(annotations=[annotation])
    assert field.cells[0].attributes == CODES


def test_a_code_that_is_stated_twice_and_differently_is_masked(
    read, lld_files
):
    annotation = lld_files.annotation(
        0, 7, (1, 1, 9, 9), codes=CODES, nuclear_chromatin=0, nucleolus_=1
    )
    annotation['attributes'] = dict(cytoplasm=0)  # agrees
    (field,), counts = read(annotations=[annotation])
    assert field.cells[0].attributes == (2, -1, 0, 1, 0, 1, 0)
    assert counts == {'attributes stated twice, differently, masked': 1}


def test_absent_attributes_are_missing(read, lld_files):
    annotation = lld_files.annotation(0, 7, (1, 1, 9, 9), codes=())
    annotation['nucleolus'] = 1
    annotation['cytoplasm'] = None
    (field,), counts = read(annotations=[annotation])
    assert field.cells[0].attributes == (-1, -1, -1, 1, -1, -1, -1)
    assert counts == {}


def test_the_categories_name_the_classes(read, lld_files):
    categories = [
        dict(id=1, name='Basophil'),
        dict(id='x', name='Atypical_Lymphocyte'),
    ]
    (field,), _ = read(
        annotations=[
            lld_files.annotation(0, 7, (1, 1, 9, 9), 1),
            lld_files.annotation(1, 7, (2, 2, 9, 9), 'x'),
        ],
        categories=categories,
    )
    names = [cell.category for cell in field.cells]
    assert names == ['basophil', 'atypical lymphocyte']


@pytest.mark.parametrize('second_id', [7, 8])
def test_repeated_image_entries_are_merged(read, lld_files, second_id):
    fields, counts = read(
        images=[IMAGE, dict(IMAGE, id=second_id)],
        annotations=[
            lld_files.annotation(0, second_id, (1, 1, 9, 9)),
            lld_files.annotation(1, 7, (2, 2, 9, 9)),
        ],
    )
    (field,) = fields
    assert field.image_id == 7
    assert [cell.bbox[0] for cell in field.cells] == [1, 2]
    assert counts == {'repeated image entries merged': 1}


def test_coco_ignore_means_ignored(read, lld_files):
    annotation = lld_files.annotation(0, 7, (1, 1, 9, 9), ignore=1)
    (field,), _ = read(annotations=[annotation])
    assert field.cells[0].ignored


@pytest.mark.parametrize('stated', [{}, dict(width=None, height=0)])
def test_missing_sizes_come_from_the_image(read, stated):
    (field,), counts = read([dict(id=7, file_name=NAME, **stated)])
    assert (field.width, field.height) == (64, 48)
    assert counts == {'image sizes taken from the image file': 1}


def test_wrong_sizes_are_replaced(read, lld_files):
    (field,), counts = read(
        [dict(IMAGE, width=48, height=64)],
        [lld_files.annotation(0, 7, (50, 1, 10, 9))],
    )
    assert (field.width, field.height) == (64, 48)
    assert field.cells[0].bbox == (50, 1, 60, 10)
    kind = 'image sizes that contradict the image file replaced'
    assert counts == {kind: 1}


def test_annotations_of_unlisted_images_are_dropped(read, lld_files):
    good = lld_files.annotation(0, 7, (1, 1, 9, 9))
    lost = lld_files.annotation(1, 70, (2, 2, 9, 9))
    (field,), counts = read(annotations=[good, lost])
    assert len(field.cells) == 1
    assert counts == {'annotations of images not listed dropped': 1}
    # When all are, the ids are those of another file.
    with pytest.raises(AnnotationError, match='of 1 annotations, 1 are faul'):
        read(annotations=[lost])


def test_ids_as_strings_are_matched(read, lld_files):
    annotations = [
        lld_files.annotation(0, '7', (1, 1, 9, 9), '2'),
        lld_files.annotation(1, 7, (2, 2, 9, 9), 2),
    ]
    (field,), counts = read(annotations=annotations)
    assert [cell.category for cell in field.cells] == ['lymphoblast'] * 2
    kind = 'ids written as strings here and as numbers there matched'
    assert counts == {kind: 2}
    # Where both are listed, each is itself.
    fields, counts = read(
        images=[IMAGE, dict(IMAGE, id='7', file_name='b.png')],
        annotations=[
            lld_files.annotation(0, '7', (1, 1, 9, 9)),
            lld_files.annotation(1, 7, (2, 2, 9, 9)),
        ],
    )
    assert [field.cells[0].bbox[0] for field in fields] == [2, 1]
    assert counts == {}


@pytest.mark.parametrize(
    'change, kind, kept',
    [
        (dict(bbox=[1, 1, 9]), 'without a box of four numbers dropped', 1),
        (dict(bbox=None), 'without a box of four numbers dropped', 1),
        (dict(bbox=[1, 1, '9', 9]), 'without a box of four numbers', 1),
        (dict(category_id=14), 'cells of an unknown category ignored', 2),
        (dict(category_id=None), 'cells of an unknown category ignored', 2),
        (dict(image_id=[7]), 'annotations of images not listed dropped', 1),
        (dict(iscrowd='no'), 'cells with an unclear crowd flag ignored', 2),
        (dict(nucleolus='prominent'), 'that are no whole numbers masked', 2),
        (dict(attributes=[1, 2]), 'that are no whole numbers masked', 2),
    ],
)
def test_a_faulty_annotation_leaves_the_others_alone(
    read, lld_files, change, kind, kept
):
    annotations = [
        lld_files.annotation(4, 7, (2, 2, 9, 9)),
        {**lld_files.annotation(5, 7, (1, 1, 9, 9)), **change},
    ]
    (field,), counts = read(annotations=annotations)
    assert len(field.cells) == kept
    assert field.cells[0] == CellRecord(
        (2, 2, 11, 11), 'myeloblast', (0, 1, 0, 1, 0, 1, 0)
    )
    if kept == 2:
        assert field.cells[1].ignored == ('ignored' in kind)
    ((text, number),) = counts.items()
    assert kind in text
    assert number == 1


def test_a_code_in_words_masks_nothing_else(read, lld_files):
    annotation = lld_files.annotation(0, 7, (1, 1, 9, 9), codes=CODES)
    annotation['nucleolus'] = 'prominent'
    (field,), _ = read(annotations=[annotation])
    assert field.cells[0].attributes == (2, 1, 0, -1, 0, 1, 0)


def test_a_file_of_faulty_annotations_is_refused(read, lld_files):
    annotations = [
        lld_files.annotation(i, 7, (i, 1, 9, 9), category_id=20 + i)
        for i in range(3)
    ]
    with pytest.raises(
        AnnotationError,
        match='train.json: of 3 annotations, 3 are faulty.*unknown category'
        r'.*first: .*annotation 0 \(id 0\)',
    ):
        read(annotations=annotations)


@pytest.mark.parametrize(
    'entry', [dict(id=9), dict(file_name='b.png'), 7, None]
)
def test_a_faulty_image_entry_leaves_the_others_alone(
    tmp_path, lld_files, entry
):
    lld_files.image(tmp_path / NAME)
    cells = [lld_files.annotation(i, 7 + 2 * i, (1, 1, 9, 9)) for i in (0, 1)]
    path = lld_files.json(tmp_path / 'a.json', [IMAGE, entry], cells)
    reader = JsonReader(SCHEMA, ImageFolder(str(tmp_path)))
    (field,) = reader.read(path)
    assert (field.file_name, len(field.cells)) == (NAME, 1)
    kind = 'image entries without an id or a file name dropped'
    assert reader.issues.counts[kind] == 1
    assert reader.issues.balance() == dict(
        images=(2, 1, 1), annotations=(2, 1, 1)
    )


def test_files_of_one_id_are_both_dropped(read, lld_files):
    names = [NAME, 'b.png', 'c.png', 'b.png']
    ids = [7, 8, 8, 9]
    fields, counts = read(
        images=[
            dict(IMAGE, id=image_id, file_name=name)
            for image_id, name in zip(ids, names)
        ],
        annotations=[
            lld_files.annotation(i, image_id, (1, 1, 9, 9))
            for i, image_id in enumerate([7, 7, 8, 9])
        ],
        refused=True,
    )
    assert 'of 4 images, 3 are faulty' in fields
    names += ['d.png', 'e.png']
    ids += [10, 11]
    fields, counts = read(
        images=[
            dict(IMAGE, id=image_id, file_name=name)
            for image_id, name in zip(ids, names)
        ],
        annotations=[
            lld_files.annotation(i, image_id, (1, 1, 9, 9))
            for i, image_id in enumerate([7, 8, 9, 10])
        ],
    )
    # The cells of b.png under the id 9 are perhaps not all.
    assert [f.file_name for f in fields] == [NAME, 'd.png', 'e.png']
    assert counts == {
        'image entries whose id stands for several files dropped': 3,
        'annotations of dropped images dropped': 2,
    }


def test_regions_are_refused_where_none_are_expected(read):
    with pytest.raises(AnnotationError, match='sparse_json'):
        read([dict(IMAGE, annotated_regions=[])])


def test_errors_name_the_category(read):
    twice = [dict(id=1, name='a'), dict(id=1, name='b')]
    with pytest.raises(AnnotationError, match='category 1: the id 1 names'):
        read(categories=twice)
    with pytest.raises(AnnotationError, match="category 0: 'name' is None"):
        read(categories=[dict(id=1)])


@pytest.mark.parametrize(
    'text, message',
    [
        (b'{"images": [', 'no JSON'),
        (b'\xff\xfe\x00', 'no JSON'),
        (b'[]', "'images' is not a list"),
        (b'{"images": [], "annotations": []}', "'categories' is not a list"),
        (b'{"images": {}}', "'images' is not a list of objects"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / 'train.json'
    path.write_bytes(text)
    reader = JsonReader(SCHEMA, ImageFolder(str(tmp_path)))
    with pytest.raises(AnnotationError, match=f'train.json.*{message}'):
        reader.read(str(path))


def test_attributes_follow_the_schema(tmp_path, lld_files):
    schema = AttributeSchema(
        [
            dict(name='chromatin', values='abc', json_key='nuclear_chromatio'),
            dict(name='nucleolus', values='ab'),
        ]
    )
    lld_files.image(tmp_path / NAME)
    annotation = lld_files.annotation(0, 7, (1, 1, 9, 9), codes=(0, 2, 0, 1))
    path = lld_files.json(tmp_path / 'a.json', [IMAGE], [annotation])
    (field,) = JsonReader(schema, ImageFolder(str(tmp_path))).read(path)
    assert field.cells[0].attributes == (2, 1)


def test_a_stated_key_is_the_only_one(tmp_path, lld_files):
    """The name of another schema's attribute beside it changes nothing."""
    schema = AttributeSchema(
        [dict(name='cell_size', values='ab', json_key='lab_cell_size')]
    )
    lld_files.image(tmp_path / NAME)
    annotations = [
        lld_files.annotation(0, 7, (1, 1, 9, 9), codes=CODES, lab_cell_size=1),
        dict(lld_files.annotation(0, 7, (20, 1, 9, 9), codes=CODES), id=1),
    ]
    path = lld_files.json(tmp_path / 'a.json', [IMAGE], annotations)
    reader = JsonReader(schema, ImageFolder(str(tmp_path)))
    (field,) = reader.read(path)
    assert [cell.attributes for cell in field.cells] == [(1,), (-1,)]
    assert reader.issues.lines() == []


def test_missing_codes_of_the_schema_are_no_fault(tmp_path, lld_files):
    lld_files.image(tmp_path / NAME)
    codes = (99, 99, 1, 4, 7, 1, 0)
    annotation = lld_files.annotation(0, 7, (1, 1, 9, 9), codes=codes)
    path = lld_files.json(tmp_path / 'a.json', [IMAGE], [annotation])
    schema = AttributeSchema(SCHEMA.attributes, missing_codes=(99,))
    reader = JsonReader(schema, ImageFolder(str(tmp_path)))
    (field,) = reader.read(path)
    assert field.cells[0].attributes == (-1, -1, 1, -1, -1, 1, 0)
    assert reader.issues.counts == {
        'attribute codes outside the schema masked': 1
    }


def test_keys_that_no_record_keeps_are_counted(tmp_path, lld_files):
    lld_files.image(tmp_path / NAME)
    annotation = lld_files.annotation(0, 7, (10, 5, 20, 30), 4, CODES)
    path = lld_files.json(
        tmp_path / 'train.json',
        [dict(IMAGE, license=1, date=''), dict(license=2)],
        [
            dict(annotation, segmentation=[], score=0),
            dict(annotation, image_id=9, score=1, attributes={}),
            'no annotation',
            annotation,
        ],
    )
    reader = JsonReader(SCHEMA, ImageFolder(str(tmp_path)))
    reader.read(path)
    assert reader.unread == {
        "'license' of images": 2,
        "'score' of annotations": 2,
    }
    assert reader.issues.seen['annotations'] == 4
