# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.readers import SparseTextReader
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
CODES = (2, 1, 0, 1, 0, 1, 0)
SIZE = (100, 100)
# As (x1, y1, x2, y2). Written in one order and read in the other, it is no
# rectangle.
REGION = (40, 10, 90, 30)
BOX = (60, 12, 80, 26)
# The four numbers of a rectangle around the box in both orders.
AMBIGUOUS = (10, 20, 30, 40)
AMBIGUOUS_BOX = (12, 32, 18, 38)


def in_order(region, order):
    x1, y1, x2, y2 = region
    return (x1, x2, y1, y2) if order == 'x1x2y1y2' else (x1, y1, x2, y2)


@pytest.fixture
def read(tmp_path, lld_files):
    """Write label files, each with its image, and read the folder."""

    def _read(region_order='auto', **files):
        for name, rows in files.items():
            lld_files.image(tmp_path / 'images' / f'{name}.png', SIZE)
            lld_files.text(tmp_path / 'labels' / f'{name}.txt', *rows)
        reader = SparseTextReader(
            SCHEMA,
            ImageFolder(str(tmp_path / 'images')),
            region_order=region_order,
        )
        fields = reader.read(str(tmp_path / 'labels'))
        return fields, dict(reader.issues.counts)

    return _read


@pytest.mark.parametrize('order', ['x1x2y1y2', 'x1y1x2y2'])
@pytest.mark.parametrize('automatic', [False, True])
@pytest.mark.parametrize('codes', [CODES, CODES[1:]])
def test_both_orders(read, lld_files, order, automatic, codes):
    region = in_order(REGION, order)
    rows = [
        lld_files.row(1, BOX, SIZE, codes, region),
        lld_files.row(2, (50, 20, 60, 30), SIZE, codes, region),
    ]
    (field,), counts = read('auto' if automatic else order, a=rows)
    assert field.annotated_regions == (REGION,)
    assert field.cells[0].bbox == pytest.approx(BOX, abs=1e-3)
    size_code = CODES[0] if len(codes) == 7 else -1
    assert field.cells[0].attributes == (size_code, *CODES[1:])
    assert [cell.category for cell in field.cells] == [
        'myeloblast',
        'lymphoblast',
    ]
    assert counts == {}


def test_an_empty_file_states_no_region(read, lld_files):
    row = lld_files.row(1, BOX, SIZE, CODES, REGION)
    (first, second), _ = read(a=[row], b=[])
    assert first.annotated_regions == (REGION,)
    assert second.annotated_regions == ()
    assert second.cells == ()


def test_an_image_without_a_file_has_no_region(read, tmp_path, lld_files):
    lld_files.image(tmp_path / 'images' / 'b.png', SIZE)
    row = lld_files.row(1, BOX, SIZE, CODES, REGION)
    (_, second), _ = read(a=[row])
    assert second.annotated_regions == ()


def test_the_whole_folder_decides_the_order(read, lld_files):
    # Read alone, the first file fits both orders.
    both = lld_files.row(1, AMBIGUOUS_BOX, SIZE, CODES, AMBIGUOUS)
    one = lld_files.row(1, BOX, SIZE, CODES, REGION)
    (first, second), _ = read(a=[both], b=[one])
    assert first.annotated_regions == ((10, 20, 30, 40),)
    assert second.annotated_regions == (REGION,)
    other = lld_files.row(1, BOX, SIZE, CODES, in_order(REGION, 'x1x2y1y2'))
    (first, second), _ = read(a=[both], b=[other])
    assert first.annotated_regions == ((10, 30, 20, 40),)
    assert second.annotated_regions == (REGION,)


def test_an_ambiguous_folder_is_an_error(read, lld_files):
    both = lld_files.row(1, AMBIGUOUS_BOX, SIZE, CODES, AMBIGUOUS)
    with pytest.raises(
        AnnotationError, match='a.txt, line 1.*both orders.*`region_order`'
    ):
        read(a=[both])
    (field,), _ = read('x1x2y1y2', a=[both])
    assert field.annotated_regions == ((10, 30, 20, 40),)


def test_an_order_that_makes_no_difference_is_no_error(read, lld_files):
    row = lld_files.row(1, (12, 22, 18, 28), SIZE, CODES, (10, 20, 20, 30))
    (field,), _ = read(a=[row])
    assert field.annotated_regions == ((10, 20, 20, 30),)


def test_few_rows_may_fit_no_order(read, lld_files):
    good = lld_files.row(1, BOX, SIZE, CODES, REGION)
    bad = lld_files.row(1, (5, 70, 15, 90), SIZE, CODES, REGION)
    for order in ('auto', 'x1y1x2y2'):
        (_, field), counts = read(order, a=[good], b=[good, bad])
        assert len(field.cells) == 2
        assert field.annotated_regions == (REGION,)
        assert counts == {'cells outside their own region kept': 1}


def test_a_folder_that_fits_no_order_is_refused(read, lld_files):
    good = lld_files.row(1, BOX, SIZE, CODES, REGION)
    bad = lld_files.row(1, (5, 70, 15, 90), SIZE, CODES, REGION)
    with pytest.raises(
        AnnotationError, match='b.txt, line 1: .*either order.*2 of 3 rows'
    ):
        read(a=[good], b=[bad, bad])


def test_files_of_different_orders_are_named(read, lld_files):
    rows = [
        lld_files.row(1, BOX, SIZE, CODES, in_order(REGION, order))
        for order in ('x1x2y1y2', 'x1y1x2y2')
    ]
    with pytest.raises(AnnotationError, match='b.txt, line 1.*a.txt, line 1'):
        read(a=rows[:1], b=rows[1:])


@pytest.mark.parametrize('order', ['x1x2y1y2', 'x1y1x2y2'])
@pytest.mark.parametrize(
    'region', [(90, 80, 20, 10), ('nan',) * 4, ('x',) * 4]
)
def test_a_region_that_is_no_rectangle_is_dropped(
    read, lld_files, order, region
):
    bad = lld_files.row(1, BOX, SIZE, CODES, region)
    good = lld_files.row(
        2, (50, 20, 60, 30), SIZE, CODES, in_order(REGION, order)
    )
    (field,), counts = read(order, a=[good, bad])
    assert len(field.cells) == 2
    assert field.annotated_regions == (REGION,)
    assert counts == {'annotated regions that are no rectangle dropped': 1}
    with pytest.raises(AnnotationError, match='no rectangle.*a.txt'):
        read(order, a=[bad])


def test_regions_that_differ_in_one_file_are_all_kept(read, lld_files):
    rows = [
        lld_files.row(1, BOX, SIZE, CODES, REGION),
        lld_files.row(1, (5, 60, 15, 70), SIZE, CODES, (0, 50, 30, 80)),
    ]
    (field,), _ = read(a=rows)
    assert field.annotated_regions == (REGION, (0, 50, 30, 80))


def test_dense_rows_are_refused(read, lld_files):
    with pytest.raises(AnnotationError, match='got 12.*expected 16 or 15'):
        read(a=[lld_files.row(1, BOX, SIZE, CODES)])


def test_unknown_order_is_refused(read):
    with pytest.raises(ValueError, match="region_order is 'xyxy'"):
        read('xyxy')
