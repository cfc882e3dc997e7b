# Copyright (c) mmleuk authors. All rights reserved.
import logging

import pytest
from mmengine.logging import MMLogger

from mmleuk.datasets.checks import quiet_log


def fail_quietly(logger):
    with quiet_log():
        assert not logger.isEnabledFor(logging.WARNING)
        raise ZeroDivisionError


def test_the_level_comes_back():
    logger = MMLogger.get_current_instance()
    logger.setLevel(logging.INFO)
    with pytest.raises(ZeroDivisionError):
        fail_quietly(logger)
    assert logger.isEnabledFor(logging.INFO)
