# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.errors import AnnotationError
from mmleuk.io.readers import detect_format

BOX, SIZE = (10, 6, 30, 36), (64, 48)


@pytest.mark.parametrize(
    'codes, region, name',
    [
        ((0,) * 7, (), 'text'),
        ((0,) * 6, (), 'text'),
        ((0,) * 7, (0, 0, 40, 40), 'sparse_text'),
        ((0,) * 6, (0, 0, 40, 40), 'sparse_text'),
    ],
)
def test_text_is_told_by_its_columns(tmp_path, lld_files, codes, region, name):
    row = lld_files.row(1, BOX, SIZE, codes, region)
    lld_files.text(tmp_path / 'a.txt')
    lld_files.text(tmp_path / 'b.txt', '', row)
    assert detect_format(str(tmp_path)) == name


def test_other_columns_are_named(tmp_path, lld_files):
    lld_files.text(tmp_path / 'a.txt', '', '1 .5 .5 .2 .2')
    with pytest.raises(AnnotationError, match='a.txt, line 2: got 5 columns'):
        detect_format(str(tmp_path))


def test_a_row_cut_off_does_not_decide(tmp_path, lld_files):
    row = lld_files.row(1, BOX, SIZE)
    lld_files.text(tmp_path / 'a.txt', '1 .5 .5', row)
    assert detect_format(str(tmp_path)) == 'text'


def test_empty_files_tell_nothing(tmp_path, lld_files):
    lld_files.text(tmp_path / 'a.txt')
    lld_files.text(tmp_path / 'b.txt')
    with pytest.raises(AnnotationError, match='all 2 label files are empty'):
        detect_format(str(tmp_path))


def test_json_is_read_with_its_regions(tmp_path, lld_files):
    path = lld_files.json(tmp_path / 'a.json', [], [])
    assert detect_format(path) == 'sparse_json'


def test_nothing_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.json: no annotatio'):
        detect_format(str(tmp_path / 'nowhere.json'))
    with pytest.raises(FileNotFoundError, match='no label files'):
        detect_format(str(tmp_path))
