# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.readers import SparseJsonReader
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

SCHEMA = AttributeSchema(LLD_ATTRIBUTES)


@pytest.fixture
def read_regions(tmp_path, lld_files):
    """Read the regions of the image a.png from its entries."""

    def _read(*entries):
        lld_files.image(tmp_path / 'a.png')
        images = [
            dict(id=i, file_name='a.png', width=64, height=48, **entry)
            for i, entry in enumerate(entries)
        ]
        path = lld_files.json(tmp_path / 'a.json', images, [])
        reader = SparseJsonReader(SCHEMA, ImageFolder(str(tmp_path)))
        (field,) = reader.read(path)
        return field.annotated_regions

    return _read


def test_absent_empty_and_stated_regions_differ(read_regions):
    assert read_regions({}) is None
    assert read_regions(dict(annotated_regions=[])) == ()
    regions = [[0, 0, 20, 20], [30.5, 10, 64, 48]]
    assert read_regions(dict(annotated_regions=regions)) == (
        (0, 0, 20, 20),
        (30.5, 10, 64, 48),
    )


def test_cells_outside_stay(tmp_path, lld_files):
    lld_files.image(tmp_path / 'a.png')
    image = dict(
        id=0,
        file_name='a.png',
        width=64,
        height=48,
        annotated_regions=[[0, 0, 20, 20]],
    )
    annotation = lld_files.annotation(0, 0, (30, 30, 9, 9))
    path = lld_files.json(tmp_path / 'a.json', [image], [annotation])
    reader = SparseJsonReader(SCHEMA, ImageFolder(str(tmp_path)))
    (field,) = reader.read(path)
    assert [cell.bbox for cell in field.cells] == [(30, 30, 39, 39)]


def test_repeated_entries_must_agree(read_regions):
    one = dict(annotated_regions=[[0, 0, 20, 20]])
    assert read_regions(one, one) == ((0, 0, 20, 20),)
    for other in ({}, dict(annotated_regions=[])):
        assert read_regions(one, other, one) == ()


@pytest.mark.parametrize(
    'regions',
    [None, [0, 0, 20, 20], [[0, 0, 20]], [['0', 0, 20, 20]], 'all', {}],
)
def test_a_file_of_malformed_regions_is_refused(read_regions, regions):
    with pytest.raises(
        AnnotationError, match='unclear regions.*a.json, image a.png'
    ):
        read_regions(dict(annotated_regions=regions))


def test_a_file_of_inverted_regions_is_refused(read_regions):
    with pytest.raises(AnnotationError, match='no rectangle'):
        read_regions(dict(annotated_regions=[[20, 0, 0, 20]]))
    # One beside others is dropped.
    regions = [[20, 0, 0, 20], [0, 0, 9, 9]]
    assert read_regions(dict(annotated_regions=regions)) == ((0, 0, 9, 9),)
