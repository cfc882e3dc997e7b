# Copyright (c) mmleuk authors. All rights reserved.
import pytest

from mmleuk.engine.write_once import write_once


def test_the_same_content_is_welcome(tmp_path):
    path = tmp_path / 'run' / 'config.py'
    assert write_once(path, 'lr = 0.1') == path
    assert write_once(str(path), 'lr = 0.1') == path
    assert path.read_text() == 'lr = 0.1'
    assert [item.name for item in path.parent.iterdir()] == ['config.py']


def test_another_content_is_refused(tmp_path):
    path = write_once(tmp_path / 'config.py', 'lr = 0.1')
    with pytest.raises(
        FileExistsError, match='config.py is there with another'
    ):
        write_once(path, 'lr = 0.2')
    assert path.read_text() == 'lr = 0.1'
