# Copyright (c) mmleuk authors. All rights reserved.
import sys

import pytest

from mmleuk.visualization import load_pyplot


def test_draws_into_files(tmp_path):
    pyplot = load_pyplot()
    figure, axes = pyplot.subplots()
    axes.set_title('a title')
    figure.savefig(tmp_path / 'a.svg')
    pyplot.close(figure)
    assert '>a title<' in (tmp_path / 'a.svg').read_text()


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError, match=r'mmleuk\[plot\]'):
        load_pyplot()
