# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.io.atomic_write import atomic_path, atomic_write, write_text


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    with atomic_write(path) as stream:
        stream.write('ü')
        assert not path.exists()
    assert path.read_bytes() == 'ü'.encode()
    assert [file.name for file in path.parent.iterdir()] == ['a.txt']


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'before')
    with pytest.raises(TypeError), atomic_write(path, 'wb') as stream:
        stream.write('no bytes')
    assert path.read_bytes() == b'before'
    assert [file.name for file in tmp_path.iterdir()] == ['a.bin']


def test_another_library_may_write_the_partial_file(tmp_path):
    path = tmp_path / 'a.txt'
    with atomic_path(path) as partial:
        partial.write_text('content')
        assert partial.parent == path.parent
        assert not path.exists()
    assert path.read_text() == 'content'


def test_text_that_utf8_can_not_hold(tmp_path):
    path = tmp_path / 'a.txt'
    with pytest.raises(UnicodeEncodeError):
        write_text(path, '\ud800')
    assert not path.exists()
    write_text(path, '\ud800', errors='replace')
    assert path.read_text() == '?'


def test_hours_of_results_stay_under_another_name(tmp_path):
    path = tmp_path / 'a.txt'
    with (
        pytest.raises(TypeError),
        atomic_write(path, keep_partial=True) as stream,
    ):
        stream.writelines(['text', b'no text'])
    assert not path.exists()
    assert (tmp_path / 'a.txt.partial').read_text() == 'text'
