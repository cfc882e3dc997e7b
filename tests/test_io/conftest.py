# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from labelling_exports import Exports


@pytest.fixture
def exports(tmp_path):
    return Exports(tmp_path)
