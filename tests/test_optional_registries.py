# Copyright (c) mmleuk authors. All rights reserved.
import sys

import pytest
from mmengine.registry import Registry

from mmleuk.optional_registries import MissingRegistry


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    # None makes Python treat the module as not installed.
    monkeypatch.setitem(sys.modules, 'mmpretrain.registry', None)
    root = Registry('model', scope='root_of_the_test')
    sibling = Registry('model', parent=root, scope='sibling_of_the_test')
    MissingRegistry('model', root, 'mmpretrain', ['torchvision'], 'run pip')
    with pytest.raises(
        ModuleNotFoundError,
        match=r'names mmpretrain\.ConvNeXt, and torchvision is not',
    ):
        sibling.build(dict(type='mmpretrain.ConvNeXt'))
