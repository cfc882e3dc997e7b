# Copyright (c) mmleuk authors. All rights reserved.
import uuid

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def _default_scope():
    """Look names up as a config does, whatever the test before has left.

    A runner makes its own scope the current one for the rest of the process.
    """
    DefaultScope.get_instance(f'test-{uuid.uuid4()}', scope_name='mmdet')
