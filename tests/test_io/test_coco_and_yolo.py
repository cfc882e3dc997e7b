# Copyright (c) mmleuk authors. All rights reserved.
import json

import pytest
from converter_fields import SCHEMA, write_images

from mmleuk.datasets import LLDDataset
from mmleuk.io import ConversionError, ReadSettings, convert
from mmleuk.io.errors import AnnotationError

NONE = (-1,) * 7


def coco(*annotations, **image):
    return dict(
        images=[
            dict(id=1, file_name='a.png', width=64, height=48, **image),
            dict(id=2, file_name='b.jpg', width=97, height=331),
        ],
        annotations=[
            dict(
                {'id': i, 'image_id': 1, 'category_id': 1},
                bbox=[2 + i, 3, 10, 12],
                area=120,
                segmentation=[],
                iscrowd=0,
                **annotation,
            )
            for i, annotation in enumerate(annotations)
        ],
        categories=[dict(id=1, name='neutrophil', supercategory='wbc')],
    )


def test_coco_of_cvat(exports):
    content = coco(
        dict(
            attributes={
                'Cell Size': 'large',
                'occluded': False,
                'rotation': 0.0,
                'ignored': 'false',
            }
        ),
        dict(attributes={'ignored': True}, score=0.5),
        dict(attributes={'cytoplasm': 1}, nuclear_chromatio=0),
        dict(attributes=None),
        annotated_regions=[[0, 0, 30, 30]],
        license=1,
    )
    first, second = exports.read('coco', content)
    assert [cell.attributes for cell in first.cells] == [
        (2, *NONE[1:]),
        NONE,
        (-1, 0, -1, -1, 1, -1, -1),
        NONE,
    ]
    assert [cell.ignored for cell in first.cells] == [0, 1, 0, 0]
    assert first.annotated_regions == ((0, 0, 30, 30),)
    assert second.annotated_regions is None
    assert exports.report.num_in == 4
    assert exports.report.unread == {
        "attribute 'occluded'": 1,
        "attribute 'rotation'": 1,
        "'license' of images": 1,
        "'score' of annotations": 1,
    }
    content['annotations'][0]['attributes']['Cell Size'] = 'vast'
    with pytest.raises(
        AnnotationError, match=r"annotation 0 \(id 0\): .*Size='vast'"
    ):
        exports.read('coco', content)


def test_faults_of_coco_are_drops_that_add_up(exports):
    content = coco({}, {}, {}, {}, {}, {}, {})
    content['annotations'][0]['bbox'] = [2, 3, 10]
    content['annotations'][1]['bbox'] = [200, 3, 10, 10]
    content['annotations'][2]['image_id'] = 7
    content['annotations'][3]['bbox'] = content['annotations'][4]['bbox']
    content['annotations'].append('no object')
    first, _ = exports.read('coco', content)
    assert len(first.cells) == 3
    assert exports.report.num_in == 8
    assert exports.report.dropped == {
        'annotations without a box of four numbers': 2,
        'boxes without an area in the image': 1,
        'annotations of images not listed': 1,
        'repeated boxes': 1,
    }


def yolo(exports, names=None, rows='0 .5 .5 .25 .25\n1 .25 .25 .1 .1\n'):
    folder = exports.write('set/labels/a.txt', rows).parent
    exports.write('set/labels/b.txt', '')
    for name, content in (names or {}).items():
        exports.write(name, content)
    return folder


@pytest.mark.parametrize(
    'name, content',
    [
        ('set/labels/classes.txt', 'Neutrophil\nmonocyte\n'),
        ('set/obj.names', 'neutrophil\r\nMonocyte\r\n\r\n'),
        ('set/data.yaml', 'nc: 2\nnames: [Neutrophil, Monocyte]\n'),
        ('data.yaml', 'names:\n  1: monocyte\n  0: neutrophil\n'),
    ],
)
def test_yolo(exports, name, content):
    folder = yolo(exports, {name: content})
    fields = exports.read_path('yolo', folder)
    # `b 1.jpg` has no label file.
    assert [field.file_name for field in fields] == [
        'a.png',
        'b 1.jpg',
        'b.jpg',
    ]
    assert [field.annotated_regions for field in fields] == [None, (), None]
    first, second = fields[0].cells
    assert (first.bbox, first.category) == ((24, 18, 40, 30), 'neutrophil')
    assert second.category == 'monocyte'
    assert second.attributes == NONE
    assert exports.report.num_in == 2


def test_names_of_yolo_can_be_stated(exports):
    folder = yolo(exports)
    with pytest.raises(FileNotFoundError, match='no file of class names'):
        exports.read_path('yolo', folder)
    path = exports.write('own.txt', 'x\ny\n')
    fields = exports.read_path('yolo', folder, names_file=str(path))
    assert [cell.category for cell in fields[0].cells] == ['x', 'y']


# Each list holds the one before ten times.
ALIASES = 'a0: &a0 [x]\n' + ''.join(
    f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]\n' for i in range(1, 12)
)


@pytest.mark.parametrize(
    'name, content',
    [
        ('data.yaml', '[1, 2'),
        ('data.yaml', 'names: 3'),
        ('data.yaml', 'names: {0: a, 20000: b}'),
        ('data.yaml', 'names: {a: 0}'),
        ('data.yaml', 'names: [a, [5]]'),
        ('data.yaml', 'names: !!python/object/apply:os.system [ls]'),
        ('data.yaml', f'{ALIASES}names: *a11'),
        ('classes.txt', '\n\n'),
        ('classes.txt', b'\xff\xfe'),
    ],
)
def test_broken_names_of_yolo(exports, name, content):
    folder = yolo(exports, {f'set/{name}': content})
    with pytest.raises(AnnotationError, match=f'{name}: .*Write one name'):
        exports.read_path('yolo', folder)


def test_rows_of_label_files_that_are_not_read_are_counted(exports):
    folder = yolo(exports, {'set/classes.txt': 'neutrophil\nmonocyte'})
    exports.write('set/labels/b 1.txt', '')
    exports.write('set/labels/unknown.txt', '0 .5 .5 .2 .2\n' * 3)
    exports.read_path('yolo', folder)
    assert exports.report.num_in == 5
    kind = 'rows of label files that were not read'
    assert exports.report.dropped == {kind: 3}
    exports.write('set/labels/unknown.txt', '')
    exports.write('set/labels/b.txt', b'\xff\xff 1 2\n')
    (folder / 'unknown.txt').unlink()
    exports.read_path('yolo', folder)
    assert exports.report.dropped == {kind: 1}


def settings(images):
    return ReadSettings(str(images), SCHEMA)


def test_unmapped_classes_are_listed(exports, tmp_path):
    folder = yolo(exports, {'set/classes.txt': 'PMN\nMono'})
    out = str(tmp_path / 'out.json')
    with pytest.raises(
        ConversionError,
        match="1 'mono', 1 'pmn' .'mono' first in a.png, 'pmn' first in "
        'a.png., expected abnormal promyelocyte, .*--class-map',
    ):
        convert(str(folder), out, 'yolo', 'json', settings(exports.images))
    with pytest.raises(ConversionError, match="1 'pmn' -> 'neutrofil'"):
        convert(
            str(folder),
            out,
            'yolo',
            'sparse_json',
            settings(exports.images),
            class_map=dict(PMN='neutrofil', mono='monocyte'),
        )
    assert not (tmp_path / 'out.json').exists()

    report = convert(
        str(folder),
        out,
        'yolo',
        'sparse_json',
        settings(exports.images),
        class_map={'PMN': 'Neutrophil', '*': None},
    )
    assert report.dropped == {"'mono' (by the class map)": 1}
    assert report.lines()[:2] == [
        '3 images, 2 cells in = 1 out + 1 dropped',
        "  dropped: 1 'mono' (by the class map)",
    ]
    data = LLDDataset(
        ann_file=out, data_prefix=dict(img=str(exports.images)), pipeline=[]
    )
    (instance,) = data.get_data_info(0)['instances']
    assert instance['bbox_label'] == data.metainfo['classes'].index(
        'neutrophil'
    )


def test_ignored_by_the_class_map(exports, tmp_path):
    folder = yolo(exports, {'set/classes.txt': 'smudge\nmonocyte'})
    out = tmp_path / 'out.json'
    report = convert(
        str(folder),
        str(out),
        'yolo',
        'sparse_json',
        settings(exports.images),
        class_map=dict(smudge='ignore', monocyte='ignore'),
    )
    assert not report.dropped
    content = json.loads(out.read_text())
    names = {item['id']: item['name'] for item in content['categories']}
    assert [
        (names[item['category_id']], item['iscrowd'])
        for item in content['annotations']
    ] == [('none', 1), ('monocyte', 1)]


def test_cells_of_an_unknown_category_stay_ignored(exports, tmp_path):
    content = coco({}, {}, {})
    content['annotations'][1]['category_id'] = 99
    source = exports.write('in.json', content)
    out = tmp_path / 'out.json'
    report = convert(
        str(source), str(out), 'coco', 'json', settings(exports.images)
    )
    assert report.num_out == 3
    flags = [
        item['iscrowd'] for item in json.loads(out.read_text())['annotations']
    ]
    assert flags == [0, 1, 0]


def test_source_and_folders_are_not_written_over(exports, tmp_path):
    source = exports.write('in.json', coco({}))
    for name in ('in.json', 'images/../in.json'):
        with pytest.raises(ConversionError, match='is the source'):
            convert(
                str(source),
                str(tmp_path / name),
                'coco',
                'json',
                settings(exports.images),
            )
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'old.txt').write_text('')
    for target, message in (
        ('labels', 'holds 1 label files already, such as old.txt'),
        ('in.json', 'is the source'),
        ('images/a.png', 'is a file, expected a new folder'),
    ):
        with pytest.raises(ConversionError, match=message):
            convert(
                str(source),
                str(tmp_path / target),
                'coco',
                'text',
                settings(exports.images),
            )


def test_names_that_label_files_can_not_have(exports, tmp_path):
    write_images(
        exports.images,
        {'sub/a.png': (64, 48), 'classes.png': (64, 48), 'b.png': (97, 331)},
    )
    for name, message in (
        ('sub/a.png', 'lies in a subfolder'),
        ('classes.png', 'class names'),
        ('b.png', 'would share its label file with b.jpg|with b.png'),
    ):
        content = coco({})
        content['images'][0]['file_name'] = name
        source = exports.write('in.json', content)
        with pytest.raises(ConversionError, match=message):
            convert(
                str(source),
                str(tmp_path / 'out'),
                'coco',
                'yolo',
                settings(exports.images),
            )
    content['images'][0]['file_name'] = 'sub/a.png'
    source = exports.write('in.json', content)
    convert(
        str(source),
        str(tmp_path / 'voc'),
        'coco',
        'voc',
        settings(exports.images),
    )
    fields = exports.read_path('voc', tmp_path / 'voc')
    assert {field.file_name for field in fields} == {'sub/a.png', 'b.jpg'}


def test_nothing_is_written_where_something_would_be_lost(exports, tmp_path):
    content = coco(dict(nuclear_chromatio=1), {})
    content['annotations'][1]['iscrowd'] = 1
    source = exports.write('in.json', content)
    out = tmp_path / 'labels'
    arguments = (str(source), str(out), 'coco', 'yolo')
    with pytest.raises(
        ConversionError,
        match='can not hold 1 codes of Nuclear Chromatin, 1 ignored cells',
    ):
        convert(*arguments, settings(exports.images))
    assert not out.exists()
    report = convert(*arguments, settings(exports.images), allow_loss=True)
    assert report.lines()[:3] == [
        '2 images, 2 cells in = 1 out + 1 dropped',
        '  dropped: 1 ignored cells',
        '  not held by the target: 1 codes of Nuclear Chromatin, 1 ignored '
        'cells (they become background)',
    ]
    assert (out / 'a.txt').read_text().startswith('3 ')


def test_files_are_bounded(exports):
    for source_format in ('coco', 'sparse_json', 'label_studio', 'cvat'):
        with pytest.raises(AnnotationError, match='expected at most 0'):
            exports.read(source_format, coco({}), max_bytes=100)


def test_text_holds_lld_classes_alone(exports, tmp_path):
    source = exports.write('in.json', coco({}))
    with pytest.raises(ConversionError, match='alone, got none of them'):
        convert(
            str(source),
            str(tmp_path / 'out'),
            'coco',
            'text',
            settings(exports.images),
            classes=['wbc'],
            class_map='wbc',
        )
    with pytest.raises(ConversionError, match="1 'neutrophil'"):
        convert(
            str(source),
            str(tmp_path / 'out'),
            'coco',
            'text',
            settings(exports.images),
            classes=['monocyte', 'wbc'],
        )
