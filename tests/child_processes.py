# Copyright (c) mmleuk authors. All rights reserved.
"""A test that takes too long ends with all processes that it has started."""

import signal

import psutil
import pytest


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item):
    """Kill before pytest-timeout fails the test.

    Afterwards it would be too late: once a child such as torchrun has been
    killed, its own children belong to no one.
    """
    this = psutil.Process()
    before = set(this.children(recursive=True))
    result = yield
    fail = signal.getsignal(signal.SIGALRM)

    def kill_and_fail(number, frame):
        for process in set(this.children(recursive=True)) - before:
            process.kill()
        fail(number, frame)

    if callable(fail):
        signal.signal(signal.SIGALRM, kill_and_fail)
    return result
