# Copyright (c) mmleuk authors. All rights reserved.
import logging
from contextlib import contextmanager
from typing import Iterator

from mmengine.logging import MMLogger


@contextmanager
def quiet_log() -> Iterator[None]:
    """Hold back what datasets log, where a report says it."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
