# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.datasets.readers import AnnotationError, ImageFolder, JsonReader
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
NAME = '4_15_1000_ALL.png'
IMAGE = dict(id=7, file_name=NAME, width=64, height=48)
CODES = (2, 1, 0, 1, 0, 1, 0)


@pytest.fixture
def read(tmp_path, lld_files):
    """Write one file, read it, and give fields and counts of mends."""

    def _read(images=(IMAGE,), annotations=(), **kwargs):
        for image in images:
            if 'file_name' in image:
                lld_files.image(tmp_path / image['file_name'])
        path = lld_files.json(
            tmp_path / 'train.json', list(images), list(annotations), **kwargs
        )
        reader = JsonReader(SCHEMA, ImageFolder(str(tmp_path)))
        return reader.read(path), dict(reader.mends.counts)

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
    # When all are, the ids are of another kind, such as strings.
    with pytest.raises(AnnotationError, match='none of the 1 annotations'):
        read(annotations=[lld_files.annotation(0, '7', (1, 1, 9, 9))])


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(bbox=[1, 1, 9]), r'annotation 1 \(id 5\).*four numbers'),
        (dict(bbox=None), 'four numbers'),
        (dict(bbox=[1, 1, '9', 9]), 'four numbers'),
        (dict(category_id=14), 'category_id 14 is not listed'),
        (dict(category_id=None), "'category_id' is None"),
        (dict(image_id=[7]), r"'image_id' is \[7\]"),
        (dict(iscrowd='no'), "'iscrowd' is 'no'"),
        (dict(nucleolus='prominent'), 'nucleolus has the code'),
        (dict(attributes=[1, 2]), r"'attributes' is \[1, 2\]"),
    ],
)
def test_errors_name_file_and_annotation(read, lld_files, change, message):
    annotations = [
        lld_files.annotation(4, 7, (2, 2, 9, 9)),
        {**lld_files.annotation(5, 7, (1, 1, 9, 9)), **change},
    ]
    with pytest.raises(AnnotationError, match=f'train.json.*{message}'):
        read(annotations=annotations)


@pytest.mark.parametrize(
    'images, message',
    [
        ([IMAGE, dict(id=9)], "image entry 1: 'file_name' is None"),
        ([dict(file_name=NAME)], "image entry 0: 'id' is None"),
        ([IMAGE, dict(IMAGE, file_name='b.png')], 'the id 7 stands for'),
        ([dict(IMAGE, annotated_regions=[])], 'sparse_json'),
    ],
)
def test_errors_name_the_image(read, images, message):
    with pytest.raises(AnnotationError, match=message):
        read(images)


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
        (b'{"images": [1]}', "'images' is not a list of objects"),
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
