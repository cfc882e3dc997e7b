# Copyright (c) mmleuk authors. All rights reserved.
"""Exports of CVAT, Label Studio and Pascal VOC, as the tools write them."""

import copy
import json
import re

import pytest
from labelling_exports import CVAT, LABEL_STUDIO, VOC, choice, rectangle, task

from mmleuk.io.errors import AnnotationError

NONE = (-1,) * 7


def test_cvat(exports):
    first, second = exports.read('cvat', CVAT)
    assert first.file_name == 'a.png'
    assert first.annotated_regions == ((0, 0, 32, 48),)
    neutrophil, monocyte = first.cells
    assert neutrophil.bbox == (1.5, 2, 20.25, 22)
    assert neutrophil.category == 'neutrophil'
    assert neutrophil.attributes == (2, -1, 1, -1, -1, -1, -1)
    assert not neutrophil.ignored
    assert monocyte.category == 'monocyte'
    assert monocyte.attributes == NONE
    assert monocyte.ignored
    assert second.file_name == 'b.jpg'
    assert second.annotated_regions == ()
    assert exports.report.num_in == 2
    assert (
        exports.report.issues.counts[
            'images without an annotated region taken as not annotated'
        ]
        == 1
    )


def test_label_studio(exports):
    first, second = exports.read('label_studio', LABEL_STUDIO)
    assert first.file_name == 'a.png'
    assert first.annotated_regions == ((0, 0, 32, 48),)
    neutrophil, monocyte = first.cells
    assert neutrophil.bbox == (16, 12, 32, 36)
    assert neutrophil.attributes == (2, -1, 1, -1, -1, -1, -1)
    assert monocyte.category == 'monocyte'
    assert monocyte.ignored
    assert second.file_name == 'b 1.jpg'
    assert second.annotated_regions == ()
    assert exports.report.num_in == 2
    assert exports.report.unread == {"results of type 'relation'": 1}


def test_voc(exports):
    (field,) = exports.read('voc', VOC)
    neutrophil, monocyte = field.cells
    assert field.annotated_regions is None
    assert neutrophil.bbox == (2, 3, 20, 22)
    assert neutrophil.attributes == (0, *NONE[1:])
    assert monocyte.ignored
    (field,) = exports.read('voc', VOC, voc_origin=1)
    # Pixels 2 to 20 of rows 3 to 22, counted from 1.
    assert field.cells[0].bbox == (1, 2, 20, 22)


@pytest.mark.parametrize(
    'unmarked, expected', [('whole', None), ('nothing', ()), ('auto', ())]
)
def test_images_without_a_region(exports, unmarked, expected):
    fields = exports.read('cvat', CVAT, unmarked=unmarked)
    assert fields[0].annotated_regions == ((0, 0, 32, 48),)
    assert fields[1].annotated_regions == expected


def test_without_any_region_all_is_annotated(exports):
    dense = CVAT.replace('annotated region', 'lymphocyte')
    fields = exports.read('cvat', dense)
    assert [field.annotated_regions for field in fields] == [None, None]
    assert len(fields[0].cells) == 3
    fields = exports.read('cvat', dense, region_label='Lymphocyte')
    assert fields[0].annotated_regions == ((0, 0, 32, 48),)


def test_a_region_over_the_whole_image(exports):
    whole = CVAT.replace('xbr="32.00"', 'xbr="64.00"')
    fields = exports.read('cvat', whole)
    assert [field.annotated_regions for field in fields] == [None, ()]


def test_a_task_that_nobody_annotated_is_not_annotated(exports):
    tasks = [
        task('a.png', rectangle('x', 'monocyte', 0, 0, 50, 50)),
        task('b.jpg', rectangle('x', 'monocyte', 0, 0, 50, 50)),
    ]
    tasks[1]['annotations'][0]['was_cancelled'] = True
    first, second = exports.read('label_studio', tasks)
    assert first.annotated_regions is None
    assert second.annotated_regions == ()
    assert not second.cells
    assert exports.report.num_in == 1


def test_several_annotators(exports):
    several = task('a.png', rectangle('x', 'monocyte', 0, 0, 50, 50))
    other = copy.deepcopy(several['annotations'][0])
    other['completed_by'] = dict(id=22, email='b@lab')
    other['result'][0]['value']['rectanglelabels'] = ['lymphocyte']
    several['annotations'].append(other)
    with pytest.raises(AnnotationError, match='task 0 .* has 2 annotations'):
        exports.read('label_studio', [several])
    for annotator, name in (('1', 'monocyte'), ('22', 'lymphocyte')):
        (field,) = exports.read('label_studio', [several], annotator=annotator)
        assert field.cells[0].category == name


def test_rotated_boxes(exports):
    # A quarter turn: about the middle in CVAT, about the corner in Label
    # Studio.
    turned = CVAT.replace(
        'xtl="30" ytl="30"\n         xbr="40" ybr="40"',
        'xtl="20" ytl="10" xbr="40" ybr="20" rotation="90"',
    )
    first, _ = exports.read('cvat', turned)
    assert first.cells[1].bbox == pytest.approx((25, 5, 35, 25))
    kind = 'rotated boxes replaced by upright boxes around them'
    assert exports.report.issues.counts[kind] == 1

    result = rectangle('x', 'monocyte', 50, 0, 25, 12.5)
    result['value']['rotation'] = 90
    (field,) = exports.read('label_studio', [task('a.png', result)])
    assert field.cells[0].bbox == pytest.approx((26, 0, 32, 16))

    result['value']['rectanglelabels'] = ['annotated region']
    with pytest.raises(AnnotationError, match='region is one of the rotated'):
        exports.read('label_studio', [task('a.png', result)])


def test_shapes_of_unknown_extent_are_dropped_and_counted(exports):
    points = CVAT.replace(
        '<image id="1"',
        '<image id="2" name="b 1.jpg" width="10" height="20">'
        '<points label="monocyte" points="1,1;5,5;1,5"/>'
        '<tag label="blurred"/>'
        '</image><image id="1"',
    )
    fields = exports.read('cvat', points)
    assert not fields[1].cells
    assert exports.report.num_in == 3
    assert exports.report.dropped == {'shapes of unknown extent': 1}
    assert exports.report.unread == {'<tag> of images': 1}

    shape = dict(
        id='p',
        type='polygonlabels',
        value=dict(points=[[1, 1]], polygonlabels=['monocyte']),
    )
    exports.read(
        'label_studio',
        [task('a.png', shape, choice('p', 'cell_size', 'small'))],
    )
    assert exports.report.dropped == {'shapes of unknown extent': 1}

    no_box = re.sub('<bndbox><xmin>30.*?</bndbox>', '', VOC, flags=re.S)
    exports.read('voc', no_box)
    assert exports.report.dropped == {'shapes of unknown extent': 1}


def test_attributes_that_the_schema_lacks_are_named(exports):
    more = CVAT.replace('name="ignored">false', 'name="Auer rods">none')
    exports.read('cvat', more)
    assert exports.report.unread == {"attribute 'Auer rods'": 1}
    more = CVAT.replace('>large<', '>huge<').replace('>irregular<', '>odd<')
    with pytest.raises(
        AnnotationError,
        match="Cell Size='huge' .1 cells., nuclear_shape='odd' .1 cells., "
        'expected Cell Size: small, medium, large',
    ):
        exports.read('cvat', more)
    fields = exports.read(
        'cvat',
        more,
        attribute_map={
            'cell size': {'to': 'cell_size', 'values': {'Huge': 'large'}},
            'Nuclear shape': {'to': 'Nuclear Shape', 'values': {'odd': None}},
        },
    )
    assert fields[0].cells[0].attributes == (2, *NONE[1:])


def test_two_choices_of_one_attribute_are_masked(exports):
    (field,) = exports.read(
        'label_studio',
        [
            task(
                'a.png',
                rectangle('x', 'monocyte', 0, 0, 50, 50),
                choice('x', 'cell_size', 'small', 'large'),
            )
        ],
    )
    assert field.cells[0].attributes == NONE
    kind = 'attributes stated twice, differently, masked'
    assert exports.report.issues.counts[kind] == 1


@pytest.mark.parametrize(
    'name',
    [
        '..',
        '',
        '/',
        'a\x85' + 'b' * 300,
    ],
)
def test_names_that_no_file_can_have(exports, name):
    with pytest.raises(AnnotationError, match='the image name'):
        exports.read('cvat', CVAT.replace('batch 1/a.png', name))
    with pytest.raises(AnnotationError, match='task 0 .*the image name'):
        exports.read('label_studio', [task(name)])
    with pytest.raises(AnnotationError, match='the image name'):
        exports.read('voc', VOC.replace('>a.png<', f'>{name}<'))


@pytest.mark.parametrize(
    'name', ['../secret.png', '/etc/../secret.png', '..\\secret.png']
)
def test_names_do_not_leave_the_image_folder(exports, name):
    secret = exports.folder / 'secret.png'
    secret.write_bytes((exports.images / 'a.png').read_bytes())
    with pytest.raises(FileNotFoundError, match="'secret.png' was looked for"):
        exports.read('label_studio', [task(name)])
    (exports.images / 'secret.png').write_bytes(secret.read_bytes())
    (field,) = exports.read('label_studio', [task(name)])
    assert field.file_name == 'secret.png'


def test_control_characters_and_half_surrogates(exports):
    for name in ('a\x00.png', 'a\n.png', 'a\ud800.png'):
        with pytest.raises(AnnotationError, match='characters'):
            exports.read('label_studio', json.dumps([task(name)]))


def test_absolute_names_are_looked_for_inside(exports):
    for name in (
        '/mnt/share/b.jpg',
        'D:\\films\\b.jpg',
        's3://lab/films/b.jpg',
    ):
        (field,) = exports.read('label_studio', [task(name)], unmarked='whole')
        assert field.file_name == 'b.jpg'


def test_a_link_out_of_the_image_folder_is_not_opened(exports, tmp_path):
    (tmp_path / 'secret.png').write_bytes(
        (exports.images / 'a.png').read_bytes()
    )
    (exports.images / 'link.png').symlink_to(tmp_path / 'secret.png')
    fields = exports.read('cvat', CVAT.replace('b.jpg', 'link.png'))
    assert [field.file_name for field in fields] == ['a.png']
    kind = 'images outside the image folder dropped, unopened'
    assert exports.report.issues.counts[kind] == 1


def test_cells_of_images_that_are_not_there_are_counted(exports):
    (exports.images / 'a.png').rename(exports.images / 'z.png')
    fields = exports.read('cvat', CVAT)
    assert [field.file_name for field in fields] == ['b.jpg']
    assert exports.report.num_in == 2
    assert exports.report.dropped == {'annotations of dropped images': 2}
    (exports.images / 'b.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='2 of 2 annotated images'):
        exports.read('cvat', CVAT)


@pytest.mark.parametrize(
    'source_format, content, message',
    [
        ('cvat', '<annotations><track id="0"/></annotations>', 'for images'),
        ('cvat', '<html/>', 'got <html>'),
        (
            'cvat',
            CVAT.replace('"1.50"', '"one"'),
            "line 8 <box>: xtl is 'one'",
        ),
        ('cvat', CVAT.replace('"1.50"', '"nan"'), 'expected a finite number'),
        ('cvat', CVAT.replace('label="Neu', 'x="Neu'), 'has no label'),
        (
            'cvat',
            CVAT.replace('"b.jpg"', '"a.png"'),
            'is annotated here and in',
        ),
        ('cvat', CVAT.replace('"64"', '"wide"'), "width is 'wide'"),
        ('cvat', CVAT.replace('>false<', '>maybe<'), "'ignored' is 'maybe'"),
        ('voc', VOC.replace('filename>', 'name>'), 'with a <filename>'),
        ('voc', VOC.replace('<xmin>2<', '<xmin><'), 'xmin is'),
        ('voc', VOC.replace('>1</diff', '>2</diff'), "got '2', expected 0 or"),
        ('label_studio', '{}', 'no list of tasks'),
        ('label_studio', [{'image': 'a.png'}], 'task 0 .*not JSON-MIN'),
        ('label_studio', '[' * 100_000, 'is no JSON'),
        (
            'label_studio',
            [task('a.png', rectangle('x', 'monocyte', 0, 0, '?', 5))],
            'task 0 .*, result x: width is',
        ),
        (
            'label_studio',
            [task('a.png', rectangle('x', 'monocyte', 0, 0, 10**400, 5))],
            'expected a finite number',
        ),
        (
            'label_studio',
            [
                task(
                    'a.png',
                    rectangle('x', 'monocyte', 0, 0, 5, 5),
                    rectangle('x', 'lymphocyte', 0, 0, 5, 5),
                )
            ],
            'has the labels',
        ),
        (
            'label_studio',
            [
                task(
                    'a.png',
                    dict(rectangle('x', 'a', 0, 0, 5, 5), image_rotation=90),
                )
            ],
            'the image was rotated',
        ),
    ],
)
def test_errors_name_file_and_record(exports, source_format, content, message):
    with pytest.raises(AnnotationError, match=message) as error:
        exports.read(source_format, content)
    assert str(exports.folder) in str(error.value)


def test_key_of_the_image(exports):
    tasks = [task('a.png')]
    tasks[0]['data'] = dict(field='a.png', patient='4')
    with pytest.raises(AnnotationError, match='image-key'):
        exports.read('label_studio', tasks)
    (field,) = exports.read('label_studio', tasks, image_key='field')
    assert field.file_name == 'a.png'


def test_a_folder_without_voc_files(exports, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no XML files'):
        exports.read_path('voc', tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='no annotations'):
        exports.read_path('cvat', tmp_path / 'absent.xml')
