# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.readers import YoloTextReader, detect_format
from mmleuk.io.readers.yolo_text import TEXT_ATTRIBUTES
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
CODES = (2, 1, 0, 1, 0, 1, 0)
SIZE = (64, 48)


@pytest.fixture
def read(tmp_path, lld_files):
    """Write label files, each with its image, and read the folder."""

    def _read(schema=SCHEMA, images=(), **files):
        for name in (*files, *images):
            lld_files.image(tmp_path / 'images' / f'{name}.png', SIZE)
        for name, rows in files.items():
            lld_files.text(tmp_path / 'labels' / f'{name}.txt', *rows)
        reader = YoloTextReader(schema, ImageFolder(str(tmp_path / 'images')))
        fields = reader.read(str(tmp_path / 'labels'))
        return fields, dict(reader.issues.counts)

    return _read


def test_twelve_columns(read, lld_files):
    row = lld_files.row(4, (10, 6, 30, 36), SIZE, CODES)
    (field,), counts = read(a=[row, '', f'  {row[:-1]}4 '])
    assert (field.file_name, field.width, field.height) == ('a.png', 64, 48)
    assert field.image_id is None
    assert field.annotated_regions is None
    (cell,) = field.cells
    assert cell.bbox == pytest.approx((10, 6, 30, 36), abs=1e-3)
    assert cell.category == 'atypical lymphocyte'
    assert cell.attributes == CODES
    # The second row repeats the box, with one code left out.
    assert counts == {'repeated boxes dropped': 1}


def test_eleven_columns_leave_out_the_cell_size(read, lld_files):
    row = lld_files.row(1, (10, 6, 30, 36), SIZE, CODES[1:])
    (field,), _ = read(a=[row])
    assert field.cells[0].attributes == (-1, *CODES[1:])


def test_columns_are_taken_by_name(read, lld_files):
    schema = AttributeSchema(
        [
            dict(name='nucleolus', values='ab'),
            dict(name='age', values='ab'),
            dict(name='cell_size', values='abc'),
        ]
    )
    row = lld_files.row(1, (10, 6, 30, 36), SIZE, CODES)
    (field,), _ = read(schema, a=[row])
    assert field.cells[0].attributes == (1, -1, 2)


BOXES = [(10, 6, 30, 36), (32, 6, 50, 36)]
MASKED = 'attribute codes outside the schema masked'
UNEXPECTED = 'cells of a class without attributes that state some masked'


def test_two_is_missing_where_it_is_no_value(read, lld_files):
    codes = (2, 2, 1, 4, 0, 2, 1)
    row = lld_files.row(1, BOXES[0], SIZE, codes)
    (field,), counts = read(a=[row])
    assert field.cells[0].attributes == (2, -1, 1, -1, 0, -1, 1)
    assert counts == {}
    # A schema may have such a value.
    stippled = [
        LLD_ATTRIBUTES[0],
        dict(LLD_ATTRIBUTES[1], values=('open', 'coarse', 'stippled')),
        *LLD_ATTRIBUTES[2:],
    ]
    (field,), counts = read(AttributeSchema(stippled), a=[row])
    assert field.cells[0].attributes == (2, 2, 1, -1, 0, -1, 1)
    assert counts == {}


@pytest.mark.parametrize(
    'codes, expected',
    [
        ((2,) * 7, {}),
        ((4, *[2] * 6), {}),
        ((2,) * 6, {}),
        ((0, 1, 0, 0, 0, 0, 0), {UNEXPECTED: 1}),
        ((3, 2, 2, 2, 2, 2, 2), {UNEXPECTED: 1}),
    ],
)
def test_a_none_has_no_attributes(read, lld_files, codes, expected):
    typed = lld_files.row(1, BOXES[1], SIZE, CODES)
    (field,), counts = read(a=[lld_files.row(0, BOXES[0], SIZE, codes), typed])
    assert [cell.category for cell in field.cells] == ['none', 'myeloblast']
    assert field.cells[0].attributes == (-1,) * 7
    assert field.cells[1].attributes == CODES
    assert counts == expected


def test_other_classes_without_attributes(read, lld_files):
    rows = [
        lld_files.row(number, box, SIZE, CODES)
        for number, box in enumerate(BOXES)
    ]
    schema = AttributeSchema(LLD_ATTRIBUTES, ['myeloblast'])
    (field,), counts = read(schema, a=rows)
    assert [cell.attributes for cell in field.cells] == [CODES, (-1,) * 7]
    assert counts == {UNEXPECTED: 1}


def test_three_is_a_fault(read, lld_files):
    row = lld_files.row(1, BOXES[0], SIZE, (3, *CODES[1:]))
    (field,), counts = read(a=[row])
    assert field.cells[0].attributes == (-1, *CODES[1:])
    assert counts == {MASKED: 1}


def test_one_box_of_a_none_and_another_class(read, lld_files):
    rows = [
        lld_files.row(0, BOXES[0], SIZE, [2] * 7),
        lld_files.row(1, BOXES[0], SIZE, CODES),
    ]
    (field,), counts = read(a=rows)
    (cell,) = field.cells
    assert (cell.category, cell.ignored) == ('none', True)
    assert cell.attributes == (-1,) * 7
    assert counts == {
        'repeated boxes dropped': 1,
        'cells on whose class repeated boxes differ ignored': 1,
    }


def test_six_names_over_seven_columns_are_refused(read, tmp_path, lld_files):
    six = AttributeSchema(LLD_ATTRIBUTES[1:])
    row = lld_files.row(1, BOXES[0], SIZE, CODES)
    message = (
        r'a.txt, line 1: got 12 columns, of which 7 are attributes '
        r'\(cell_size, nuclear_chromatin, .*while the schema has 6, without '
        r'cell_size .*metainfo\["attributes"\].*metainfo\["text_columns"\]'
    )
    with pytest.raises(AnnotationError, match=message):
        read(six, a=[row])
    reader = YoloTextReader(
        six, ImageFolder(str(tmp_path / 'images')), columns=TEXT_ATTRIBUTES
    )
    (field,) = reader.read(str(tmp_path / 'labels'))
    assert field.cells[0].attributes == CODES[1:]
    # Files without Cell Size are of six columns.
    (field,), _ = read(six, a=[lld_files.row(1, BOXES[0], SIZE, CODES[1:])])
    assert field.cells[0].attributes == CODES[1:]


def test_files_of_macos_are_left_out(read, tmp_path, lld_files):
    row = lld_files.row(1, BOXES[0], SIZE, CODES)
    read(a=[row], b=[row])
    for name in 'ab':
        for path in (f'images/._{name}.png', f'labels/._{name}.txt'):
            (tmp_path / path).write_bytes(b'\x00\x05\x16\x07\xff Mac OS X')
    assert detect_format(str(tmp_path / 'labels')) == 'text'
    fields, counts = read(a=[row], b=[row])
    assert [field.file_name for field in fields] == ['a.png', 'b.png']
    assert all(len(field.cells) == 1 for field in fields)
    assert counts == {
        'files of macOS (._*) among labels and images left out': 4
    }


def test_numbers_may_be_written_as_floats(read):
    row = '1.0 .5 .5 .25 .25 2.0 1.0 0 1 0 1 0'
    (field,), _ = read(a=[row])
    assert field.cells[0].category == 'myeloblast'
    assert field.cells[0].attributes == CODES


def test_an_empty_file_differs_from_none(read, lld_files):
    row = lld_files.row(1, (10, 6, 30, 36), SIZE)
    fields, counts = read(images=['c'], a=[row], b=[])
    assert [field.file_name for field in fields] == ['a.png', 'b.png', 'c.png']
    assert [field.annotated_regions for field in fields] == [None, None, ()]
    assert [len(field.cells) for field in fields] == [1, 0, 0]
    assert counts == {'images without a label file taken as not annotated': 1}


@pytest.mark.parametrize(
    'row, message',
    [
        ('1 .5 .5 .2 .2', 'line 1: got 5 columns, expected 12 or 11'),
        ('1 .5 .5 .2 .2 0 0 9 9 0 0 0 0 0 0 0', 'line 1: got 16 columns'),
        ('1 .5 .5 .2 x 0 0 0 0 0 0 0', 'not of numbers dropped'),
        ('1 320 240 20 20 0 0 0 0 0 0 0', 'in pixels dropped'),
    ],
)
def test_faulty_rows_are_dropped(read, lld_files, row, message):
    good = lld_files.row(1, (10, 6, 30, 36), SIZE, CODES)
    (_, field), counts = read(a=[good], b=[good, row])
    (cell,) = field.cells
    assert cell.attributes == CODES
    assert len(counts) == 1
    with pytest.raises(AnnotationError, match=message):
        read(a=[row], b=[good, row])


@pytest.mark.parametrize('category', ['14', '-1', '1.5', 'nan', 'monocyte'])
def test_cells_of_an_unknown_class_are_ignored(read, lld_files, category):
    good = lld_files.row(1, (10, 6, 30, 36), SIZE, CODES)
    row = lld_files.row(category, (30, 6, 50, 36), SIZE, CODES)
    (field,), counts = read(a=[good, row])
    assert [cell.ignored for cell in field.cells] == [False, True]
    assert counts == {'cells of an unknown category ignored': 1}
    with pytest.raises(
        AnnotationError, match=f'a.txt, line 1: got the class {category}'
    ):
        read(a=[row])


@pytest.mark.parametrize('code', ['.5', 'open', 'nan'])
def test_a_code_that_is_no_whole_number_is_masked(read, lld_files, code):
    row = lld_files.row(1, (10, 6, 30, 36), SIZE, (CODES[0], code, *CODES[2:]))
    (field,), counts = read(a=[row])
    assert field.cells[0].attributes == (CODES[0], -1, *CODES[2:])
    assert counts == {'attribute codes that are no whole numbers masked': 1}


def test_an_unreadable_label_file_says_nothing_about_its_image(
    read, tmp_path, lld_files
):
    row = lld_files.row(1, (10, 6, 30, 36), SIZE)
    lld_files.image(tmp_path / 'images' / 'b.png', SIZE)
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'b.txt').write_bytes(b'\xff\xfe1')
    (first, second), counts = read(a=[row])
    assert len(first.cells) == 1
    assert second.annotated_regions == ()
    assert sum(counts.values()) == 1


def test_faulty_boxes_are_repaired(read, lld_files):
    over = lld_files.row(1, (50, 6, 80, 36), SIZE)
    (field,), counts = read(
        a=[over, '1 nan .5 .2 .2 0 0 0 0 0 0 0', '1 .5 .5 0 .2' + ' 0' * 7]
    )
    (cell,) = field.cells
    assert cell.bbox == pytest.approx((50, 6, 64, 36), abs=1e-3)
    assert counts == {
        'boxes over the edge clipped': 1,
        'boxes that are not finite dropped': 1,
        'boxes without an area in the image dropped': 1,
    }


def test_label_files_without_image_are_counted_and_named(
    read, tmp_path, lld_files
):
    lld_files.text(tmp_path / 'labels' / 'lost.txt')
    (field,), counts = read(a=[])
    assert field.file_name == 'a.png'
    assert counts == {'label files without an image dropped': 1}
    lld_files.text(tmp_path / 'labels' / 'too.txt')
    share = r'2 of 3 label files \(66.7%\) have no image: lost, too. Set'
    with pytest.raises(FileNotFoundError, match=share):
        read(a=[])


def test_label_files_without_image_are_one_issue(tmp_path, lld_files):
    for number in range(20):
        lld_files.text(tmp_path / 'labels' / f'{number:02}.txt')
        if number >= 6:
            lld_files.image(tmp_path / 'images' / f'{number:02}.png', SIZE)
    reader = YoloTextReader(SCHEMA, ImageFolder(str(tmp_path / 'images')))
    assert len(reader.read(str(tmp_path / 'labels'))) == 14
    assert reader.issues.lines() == [
        '6 label files without an image dropped (first: '
        f'{tmp_path / "labels"}: 6 of 20 label files (30.0%) have no image: '
        '00, 01, 02, 03, 04, ...)'
    ]


def test_lists_of_classes_are_no_labels(read, tmp_path, lld_files):
    lld_files.text(tmp_path / 'labels' / 'classes.txt', 'None', 'Myeloblast')
    (field,), _ = read(a=[])
    assert field.file_name == 'a.png'


def test_a_folder_without_labels_is_named(tmp_path):
    reader = YoloTextReader(SCHEMA, ImageFolder(str(tmp_path)))
    for folder in (tmp_path, tmp_path / 'nowhere'):
        with pytest.raises(FileNotFoundError, match='no label files'):
            reader.read(str(folder))


def test_rows_of_files_that_are_not_read_are_counted(tmp_path, lld_files):
    row = lld_files.row(1, (10, 6, 30, 36), SIZE, CODES)
    for name in 'abcd':
        lld_files.image(tmp_path / 'images' / f'{name}.png', SIZE)
        lld_files.text(tmp_path / 'labels' / f'{name}.txt', row)
    lld_files.text(tmp_path / 'labels' / 'no image.txt', row, '', row)
    (tmp_path / 'labels' / 'd.txt').write_bytes(b'\xff\xff 1 2\n')
    reader = YoloTextReader(SCHEMA, ImageFolder(str(tmp_path / 'images')))
    reader.read(str(tmp_path / 'labels'))
    assert reader.issues.seen['annotations'] == 3
    assert reader.num_skipped == 3
