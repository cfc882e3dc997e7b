# Copyright (c) mmleuk authors. All rights reserved.
"""Exports as people really have them: other shapes, paths and encodings.

What is known at a place never becomes background because its form can't be
read, and an image is found wherever the export states a part of its path.
"""

import numpy as np
import pytest
from converter_fields import SCHEMA, write_images
from labelling_exports import CVAT, VOC, rectangle, shape, task
from PIL import Image
from pycocotools import mask as coco_mask

from mmleuk.io import ConversionError, ReadSettings, convert
from mmleuk.io.errors import AnnotationError

WHOLE, NOTHING = None, ()


def cvat(*elements, name='a.png', size=(64, 48), more=''):
    width, height = size
    return (
        f'<annotations><image id="0" name="{name}" width="{width}" '
        f'height="{height}" {more}>{"".join(elements)}</image></annotations>'
    )


def encode_brush(mask):
    """Encode a mask as Label Studio does, runs and single values mixed."""
    values = np.zeros((*mask.shape, 4), np.uint8)
    values[mask] = 255
    values = values.ravel()
    bits = f'{values.size:032b}{7:05b}' + ''.join(
        f'{size - 1:04b}' for size in (3, 4, 8, 16)
    )
    ends = [*(np.flatnonzero(np.diff(values)) + 1), values.size]
    start = 0
    for end in ends:
        while start < end:
            count = min(end - start, 2**16)
            if count <= 8:
                bits += f'000{count - 1:03b}'
                bits += f'{values[start]:08b}' * count
            else:
                bits += f'111{count - 1:016b}{values[start]:08b}'
            start += count
    bits += '0' * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


MASK = np.zeros((48, 64), bool)
MASK[10:30, 5:25] = True
MASK[12:14, 25:28] = True


@pytest.mark.parametrize(
    'result, box',
    [
        (
            shape('ellipse', x=50, y=50, radiusX=25, radiusY=12.5),
            (16, 18, 48, 30),
        ),
        (
            shape('ellipse', x=50, y=50, radiusX=25, radiusY=25, rotation=90),
            (20, 8, 44, 40),
        ),
        (
            shape('polygon', points=[[25, 25], [75, 25], [50, 75]]),
            (16, 12, 48, 36),
        ),
        (
            shape(
                'vector',
                closed=True,
                vertices=[dict(x=0, y=0), dict(x=25, y=0), dict(x=0, y=50)],
            ),
            (0, 0, 16, 24),
        ),
        (
            shape('brush', format='rle', rle=encode_brush(MASK)),
            (5, 10, 28, 30),
        ),
    ],
)
def test_shapes_of_label_studio_become_boxes(exports, result, box):
    (field,) = exports.read('label_studio', [task('a.png', result)])
    (cell,) = field.cells
    assert cell.bbox == pytest.approx(box)
    assert (cell.category, cell.ignored) == ('monocyte', False)
    assert field.annotated_regions is WHOLE
    (kind,) = exports.report.issues.counts
    assert kind.endswith('replaced by upright boxes around them')


def test_shape_and_labels_may_be_two_results(exports):
    results = [
        dict(shape('ellipse', x=50, y=50, radiusX=25, radiusY=25), id='x'),
        dict(id='x', type='labels', value=dict(labels=['lymphocyte'])),
    ]
    results[0]['type'] = 'ellipse'
    (field,) = exports.read('label_studio', [task('a.png', *results)])
    (cell,) = field.cells
    assert cell.category == 'lymphocyte'
    # Of the shape nothing is left but its label.
    (field,) = exports.read('label_studio', [task('a.png', results[1])])
    assert field.annotated_regions == NOTHING


@pytest.mark.parametrize(
    'result',
    [
        shape('keypoint', x=50, y=50, width=1),
        shape('brush', format='rle', rle=encode_brush(MASK)[:20]),
        shape('brush', format='rle', rle=encode_brush(MASK)[:-1]),
        shape('brush', format='rle', rle=encode_brush(MASK[:40])),
        shape('brush', format='rle', rle=encode_brush(MASK & False)),
        shape('brush', format='rle', rle='words'),
        shape('bitmask', imageDataURL='data:image/png;base64,'),
        shape('polygon', points='words'),
        shape('polygon', points=[[10, 10], [30, 10]]),
        shape('cube', depth=3),
    ],
)
def test_what_has_no_known_extent_is_no_background(exports, result):
    region = rectangle('r', 'annotated region', 0, 0, 50, 50)
    cell = rectangle('c', 'neutrophil', 0, 0, 25, 25)
    for others in ([cell], [cell, region]):
        (field,) = exports.read(
            'label_studio', [task('a.png', *others, result)]
        )
        assert len(field.cells) == 1
        assert field.annotated_regions == NOTHING
        assert exports.report.dropped == {'shapes of unknown extent': 1}
        kind = 'images with shapes of unknown extent taken as not annotated'
        assert exports.report.issues.counts[kind] == 1


@pytest.mark.parametrize(
    'element, box',
    [
        (
            '<mask label="monocyte" rle="2, 5, 2" left="40" top="30" '
            'width="3" height="4"/>',
            (40, 30, 43, 34),
        ),
        (
            '<ellipse label="monocyte" cx="20" cy="10" rx="6" ry="4"/>',
            (14, 6, 26, 14),
        ),
        (
            '<ellipse label="monocyte" cx="20" cy="10" rx="6" ry="4" '
            'rotation="90"/>',
            (16, 4, 24, 16),
        ),
        (
            '<polygon label="monocyte" points="5.5,5;9,6;8,9.5;4,9"/>',
            (4, 5, 9, 9.5),
        ),
        (
            '<cuboid label="monocyte" xtl1="1" ytl1="2" xtr1="9" ytr1="2" '
            'xbl1="1" ybl1="7" xbr1="9" ybr1="7" xtl2="3" ytl2="4" xtr2="11" '
            'ytr2="4" xbl2="3" ybl2="9" xbr2="11" ybr2="9"/>',
            (1, 2, 11, 9),
        ),
    ],
)
def test_shapes_of_cvat_become_boxes(exports, element, box):
    (field,) = exports.read('cvat', cvat(element))
    (cell,) = field.cells
    assert cell.bbox == pytest.approx(box)
    assert not cell.ignored
    assert field.annotated_regions is WHOLE
    assert len(exports.report.issues.counts) == 1


def test_a_line_is_an_ignored_cell(exports):
    line = '<polyline label="monocyte" points="5,5;9,9;5,9"/>'
    (field,) = exports.read('cvat', cvat(line))
    (cell,) = field.cells
    assert (cell.bbox, cell.ignored) == ((5, 5, 9, 9), True)
    path = shape(
        'vector', closed=False, vertices=[dict(x=0, y=0), dict(x=50, y=50)]
    )
    (field,) = exports.read('label_studio', [task('a.png', path)])
    (cell,) = field.cells
    assert (cell.bbox, cell.ignored) == ((0, 0, 32, 24), True)


@pytest.mark.parametrize(
    'element',
    [
        '<points label="monocyte" points="5,5"/>',
        '<skeleton label="monocyte"><points label="1" points="5,5"/>'
        '</skeleton>',
        '<polyline label="monocyte" points="5,5;9,5"/>',
        '<hexagon label="monocyte" r="5"/>',
    ],
)
def test_what_cvat_states_without_extent_is_no_background(exports, element):
    (field,) = exports.read('cvat', cvat(element))
    assert not field.cells
    assert field.annotated_regions == NOTHING
    assert exports.report.dropped == {'shapes of unknown extent': 1}


def test_a_region_drawn_as_a_polygon(exports):
    square = '<polygon label="annotated region" points="{}"/>'
    text = cvat(square.format('5,5;40,5;40,30;5,30'))
    (field,) = exports.read('cvat', text)
    assert field.annotated_regions == ((5, 5, 40, 30),)
    for points in ('5,5;40,5;40,30', '5,5;40,6;40,30;5,30'):
        with pytest.raises(AnnotationError, match='one of the polygons'):
            exports.read('cvat', cvat(square.format(points)))
    with pytest.raises(AnnotationError, match='one of the shapes of unknown'):
        exports.read(
            'cvat', cvat('<points label="annotated region" points="1,1"/>')
        )
    corners = [[0, 0], [50, 0], [50, 50], [0, 50]]
    region = shape('polygon', 'annotated region', points=corners)
    (field,) = exports.read('label_studio', [task('a.png', region)])
    assert field.annotated_regions == ((0, 0, 32, 24),)
    for result in (
        shape('polygon', 'annotated region', points=corners[:3]),
        shape('ellipse', 'annotated region', x=9, y=9, radiusX=5, radiusY=5),
    ):
        with pytest.raises(AnnotationError, match='region is one of the'):
            exports.read('label_studio', [task('a.png', result)])


def test_polygons_of_voc(exports):
    start, end = VOC.index('<bndbox>'), VOC.index('</bndbox>') + 9
    for polygon in (
        '<x1>2</x1><y1>3</y1><x2>9</x2><y2>3</y2><x3>5</x3><y3>9</y3>',
        '<pt><x>2</x><y>3</y></pt><pt><x>9</x><y>3</y></pt>'
        '<pt><x>5</x><y>9</y></pt>',
    ):
        text = f'{VOC[:start]}<polygon>{polygon}</polygon>{VOC[end:]}'
        (field,) = exports.read('voc', text)
        assert field.cells[0].bbox == (2, 3, 9, 9)
        assert field.annotated_regions is WHOLE
    (field,) = exports.read('voc', VOC[:start] + VOC[end:])
    assert len(field.cells) == 1
    assert field.annotated_regions == NOTHING


def test_exchanged_corners_are_put_right(exports):
    kind = 'boxes with exchanged corners put right'
    result = rectangle('x', 'monocyte', 75, 75, -50, -25)
    (field,) = exports.read('label_studio', [task('a.png', result)])
    assert field.cells[0].bbox == (16, 24, 48, 36)
    assert exports.report.issues.counts[kind] == 1
    region = rectangle('r', 'annotated region', 50, 100, -50, -100)
    (field,) = exports.read('label_studio', [task('a.png', region)])
    assert field.annotated_regions == ((0, 0, 32, 48),)
    box = '<box label="monocyte" xtl="9" ytl="3" xbr="5" ybr="8"/>'
    (field,) = exports.read('cvat', cvat(box))
    assert field.cells[0].bbox == (5, 3, 9, 8)


def coco(*annotations, names=('a.png',)):
    return dict(
        images=[
            dict(id=i, file_name=name, width=64, height=48)
            for i, name in enumerate(names)
        ],
        annotations=[
            dict(id=i, image_id=0, category_id=1, **annotation)
            for i, annotation in enumerate(annotations)
        ],
        categories=[dict(id=1, name='monocyte')],
    )


def encode_mask(compressed):
    mask = coco_mask.encode(np.asfortranarray(MASK.astype(np.uint8)))
    if compressed:
        return dict(size=[48, 64], counts=mask['counts'].decode())
    values = np.concatenate([[False], MASK.ravel('F'), [False]])
    edges = np.flatnonzero(values[1:] != values[:-1])
    counts = np.diff([0, *edges, MASK.size])
    return dict(size=[48, 64], counts=counts.tolist())


@pytest.mark.parametrize(
    'annotation, box',
    [
        (
            dict(segmentation=[[5, 6, 20, 6, 20, 30], [1, 9, 2, 9, 2, 10]]),
            (1, 6, 20, 30),
        ),
        (dict(segmentation=encode_mask(True)), (5, 10, 28, 30)),
        (dict(segmentation=encode_mask(False)), (5, 10, 28, 30)),
        (
            dict(bbox=[0, 0, 0, 0], segmentation=[[5, 6, 20, 6, 20, 30]]),
            (5, 6, 20, 30),
        ),
        (dict(bbox=None, segmentation=[[5, 6, 9, 9, 5, 9]]), (5, 6, 9, 9)),
        (dict(segmentation=[5, 6, 9, 9, 5, 9]), (5, 6, 9, 9)),
        (dict(bbox=[20, 30, -5, -10]), (15, 20, 20, 30)),
    ],
)
def test_box_of_a_segmentation(exports, annotation, box):
    other = dict(bbox=[30, 10, 9, 9])
    (field,) = exports.read('coco', coco(annotation, other))
    assert field.cells[0].bbox == pytest.approx(box)
    assert len(field.cells) == 2
    assert field.annotated_regions is WHOLE


@pytest.mark.parametrize(
    'segmentation',
    [
        None,
        [],
        [[5, 6, 20]],
        [['x', 6, 20, 6]],
        [[5, 6, 20, 6]],
        [[10**400, 6, 20, 6]],
        [[5, 6, 9, 9, 5, 9], 7],
        [[float('nan'), 6, 20, 6]],
        dict(size=[0, 64], counts='abc'),
        dict(size=[48, 64]),
        dict(size=[48, 64], counts=[-1, 'x']),
        dict(size=['48', 64], counts=[1, 2]),
    ],
)
def test_cells_of_coco_without_a_place_are_no_background(
    exports, segmentation
):
    annotation = dict(segmentation=segmentation)
    content = coco(
        *[dict(bbox=[30, 10, 9, i]) for i in range(5, 9)],
        annotation,
        names=('a.png', 'b.jpg'),
    )
    content['images'][1].pop('width')
    field, other = exports.read('coco', content)
    assert len(field.cells) == 4
    assert field.annotated_regions == NOTHING
    assert other.annotated_regions is WHOLE
    assert exports.report.dropped == {
        'annotations without a box of four numbers': 1
    }


def test_cells_without_a_place_in_a_repeated_entry(exports):
    content = coco(dict(bbox=[30, 10, 9, 9]), {}, names=('a.png', 'a.png'))
    content['annotations'][1]['image_id'] = 1
    (field,) = exports.read('coco', content)
    assert field.annotated_regions == NOTHING


def save_phone_picture(path, size=(64, 48), orientation=6):
    exif = Image.Exif()
    exif[274] = orientation
    Image.new('RGB', size).save(path, exif=exif)


def test_pictures_that_were_annotated_turned_by_exif(exports):
    save_phone_picture(exports.images / 'phone.jpg')
    result = rectangle('x', 'monocyte', 0, 0, 50, 25)
    result.update(original_width=48, original_height=64)
    (field,) = exports.read('label_studio', [task('phone.jpg', result)])
    assert (field.width, field.height) == (48, 64)
    assert field.cells[0].bbox == (0, 0, 24, 16)
    assert not exports.report.issues.counts
    # The size may as well be that of the stored pixels.
    result.update(original_width=64, original_height=48)
    with pytest.raises(AnnotationError, match='turned by EXIF'):
        exports.read('label_studio', [task('phone.jpg', result)])


@pytest.mark.parametrize('source_format', ['label_studio', 'cvat', 'coco'])
def test_pictures_whose_exif_was_removed(exports, source_format):
    # a.png has 64 x 48 pixels.
    result = rectangle('x', 'monocyte', 0, 0, 50, 25)
    result.update(original_width=48, original_height=64)
    content = dict(
        label_studio=[task('a.png', result)],
        cvat=cvat(
            '<box label="monocyte" xtl="5" ytl="3" xbr="9" ybr="8"/>',
            size=(48, 64),
        ),
        coco=coco(dict(bbox=[5, 3, 9, 8])),
    )[source_format]
    if source_format == 'coco':
        content['images'][0].update(width=48, height=64)
    assert exports.read(source_format, content) == []
    path = exports.write('export', content)
    with pytest.raises(ConversionError, match='no image that can be used.*wa'):
        convert(
            str(path),
            str(exports.folder / 'out.json'),
            source_format,
            'sparse_json',
            ReadSettings(str(exports.images), SCHEMA),
        )
    exports.read(source_format, content)
    kind = 'images left out, their width and height are stated the other way'
    assert any(key.startswith(kind) for key in exports.report.issues.counts)
    assert exports.report.dropped == {'annotations of dropped images': 1}


@pytest.mark.parametrize(
    'stated, name',
    [
        ('images\\a.png', 'a.png'),
        ('images\\1/a.png', 'a.png'),
        ('..\\..\\label-studio\\media\\upload\\4\\a.png', 'a.png'),
        ('../images/deep/c.png', 'deep/c.png'),
        ('/data/local-files/?d=lab/deep%2Fc.png', 'deep/c.png'),
        ('/data/upload/4/0a1b2c3d-a.png', 'a.png'),
        ('lab\\0a1b2c3d-a.png', 'a.png'),
        ('lab/b 1', 'b 1.jpg'),
        ('C:\\lab\\deep\\c', 'deep/c.png'),
        ('http://[lab/a.png', 'a.png'),
    ],
)
@pytest.mark.parametrize('source_format', ['coco', 'cvat', 'label_studio'])
def test_images_are_found_by_the_end_of_their_path(
    exports, source_format, stated, name
):
    write_images(exports.images, {'deep/c.png': (64, 48)})
    content = dict(
        coco=coco(dict(bbox=[5, 3, 9, 8]), names=(stated,)),
        cvat=cvat(name=stated),
        label_studio=[task(stated)],
    )[source_format]
    (field,) = exports.read(source_format, content)
    assert field.file_name == name


def test_two_names_of_one_file_are_refused(exports):
    content = coco(names=('train\\a.png', 'val\\a.png'))
    with pytest.raises(AnnotationError, match='annotated here and in') as info:
        exports.read('coco', content)
    assert 'delete' not in str(info.value).lower()
    write_images(exports.images, {'val/a.png': (64, 48)})
    first, second = exports.read('coco', content)
    assert (first.file_name, second.file_name) == ('a.png', 'val/a.png')


def test_one_impossible_name_of_coco_is_a_missing_image(exports):
    content = coco(names=('a.png', 'b.jpg', 'x\0.png'))
    content['images'][1].pop('width')
    fields = exports.read('coco', content)
    assert [field.file_name for field in fields] == ['a.png', 'b.jpg']
    kind = 'annotated images that are not there dropped'
    assert exports.report.issues.counts[kind] == 1


def test_errors_say_what_was_tried(exports):
    with pytest.raises(
        FileNotFoundError,
        match="'x/y/z.png', 'y/z.png', 'z.png' was looked for.*--images",
    ):
        exports.read('coco', coco(names=('..\\x\\y\\z.png',)))


def test_a_name_without_suffix_that_fits_two_files_is_not_found(exports):
    write_images(exports.images, {'b.png': (9, 9)})
    with pytest.raises(FileNotFoundError, match='1 of 1'):
        exports.read('cvat', cvat(name='b'))


def test_voc_file_name_without_suffix(exports):
    path = exports.write('xml/any.xml', VOC.replace('a.png<', 'a<'))
    (field,) = exports.read_path('voc', path.parent)
    assert field.file_name == 'a.png'


def test_voc_stale_file_name(exports):
    # Pictures and XML were renamed together.
    for name in ('a', 'b 1', 'b'):
        path = exports.write(
            f'xml/{name}.xml', VOC.replace('>a.png<', '>IMG_1.jpg<')
        )
    fields = exports.read_path('voc', path.parent)
    names = ['a.png', 'b 1.jpg', 'b.jpg']
    assert [field.file_name for field in fields] == names
    kind = 'images found by the name of their XML instead of <filename>'
    assert exports.report.issues.counts[kind] == 3
    # An image of the stale name does not change that.
    write_images(exports.images, {'IMG_1.jpg': (64, 48)})
    fields = exports.read_path('voc', path.parent)
    assert [field.file_name for field in fields] == names
    # Without an image of its own name, <filename> counts.
    path.rename(path.with_name('z.xml'))
    fields = exports.read_path('voc', path.parent)
    assert [field.file_name for field in fields] == [*names[:2], 'IMG_1.jpg']


def test_voc_files_in_other_encodings(exports):
    head = '<?xml version="1.0" encoding="{}"?>'
    exports.write('xml/a.xml', VOC)
    exports.write(
        'xml/b.xml', VOC.replace('images\\', 'Präparate\\').encode('latin-1')
    )
    path = exports.write('xml/c.xml', head.format('klingon') + VOC)
    chinese = VOC.replace('a.png', 'b.jpg').replace('neutrophil', '白细胞')
    chinese = head.format('gb2312') + chinese
    exports.write('xml/d.xml', chinese.encode('gb2312'))
    field, other = exports.read_path('voc', path.parent)
    assert (field.file_name, other.file_name) == ('a.png', 'b.jpg')
    assert other.cells[0].category == '白细胞'
    assert other.cells[0].bbox == field.cells[0].bbox
    assert exports.report.unread == {'file b.xml': 1, 'file c.xml': 1}
    kind = 'files that can not be read left out with their images'
    assert exports.report.issues.counts[kind] == 2
    assert 'b.xml' in exports.report.issues.first[kind]
    (path.parent / 'a.xml').unlink()
    (path.parent / 'd.xml').unlink()
    with pytest.raises(AnnotationError, match='b.xml.*is no XML'):
        exports.read_path('voc', path.parent)


def test_subsets_of_a_cvat_project(exports):
    project = CVAT.replace('"batch 1/a.png"', '"f.png" subset="Train"')
    project = project.replace('"b.jpg"', '"f.png" subset="Validation"')
    sizes = {'Train/f.png': (64, 48), 'Validation/f.png': (97, 331)}
    write_images(exports.images, sizes)
    fields = exports.read('cvat', project)
    assert [field.file_name for field in fields] == list(sizes)
    # The folder above is as good.
    exports.images = exports.folder
    fields = exports.read('cvat', project)
    assert [field.file_name for field in fields] == [
        f'images/{name}' for name in sizes
    ]
    # Of two subsets, one image can't be both.
    exports.images = exports.folder / 'flat'
    write_images(exports.images, {'f.png': (64, 48)})
    with pytest.raises(AnnotationError, match='f.png is annotated here and'):
        exports.read('cvat', project)


@pytest.mark.parametrize(
    'name, content, categories',
    [
        ('classes.txt', 'pmn\n\nMono\n', ['pmn', 'mono', 'unknown']),
        ('classes.txt', '\npmn\nMono\n', ['unknown', 'mono', 'pmn']),
        ('data.yaml', 'names: [1, no, 3.0]', ['1', '3.0', 'no']),
        (
            'data.yaml',
            'names: {0: pmn, 2: Mono}',
            ['pmn', 'mono', 'unknown'],
        ),
        ('data.yaml', 'names: {1: pmn, 2: ~}', ['unknown', '~', 'pmn']),
        ('data.yaml', "names: {'0': yes, '2': b}", ['yes', 'b', 'unknown']),
    ],
)
def test_positions_of_yolo_classes_count(exports, name, content, categories):
    rows = '0 .2 .2 .1 .1\n2 .5 .5 .1 .1\n1 .8 .8 .1 .1\n'
    folder = exports.write('set/labels/a.txt', rows).parent
    exports.write(f'set/{name}', content)
    field = exports.read_path('yolo', folder)[0]
    assert [cell.category for cell in field.cells] == categories
    assert [cell.ignored for cell in field.cells] == [
        category == 'unknown' for category in categories
    ]


def test_polygons_and_unclear_rows_of_yolo(exports):
    rows = ['0 .25 .25 .75 .25 .5 .75', '0 .5 .5 .25 .25', '0 .1 .1 .1 .1']
    folder = exports.write('set/labels/a.txt', '\n'.join(rows)).parent
    exports.write('set/classes.txt', 'monocyte')
    field = exports.read_path('yolo', folder)[0]
    assert field.cells[0].bbox == (16, 12, 48, 36)
    assert field.annotated_regions is WHOLE
    exports.write('set/labels/a.txt', '\n'.join([*rows, '0 .5 .5 .2 .2 .9']))
    field = exports.read_path('yolo', folder)[0]
    assert len(field.cells) == 3
    assert field.annotated_regions == NOTHING
    # LLD's text is no polygon.
    exports.write('set/labels/a.txt', '0 .5 .5 .2 .2 1 0 1 0 1 1')
    with pytest.raises(AnnotationError, match='wrong number of columns'):
        exports.read_path('yolo', folder)
