# Copyright (c) mmleuk authors. All rights reserved.
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

# A shell that waits for another process, as torchrun waits for its own.
HANGS = """
import subprocess

def test_hangs():
    subprocess.run(['sh', '-c', 'sleep 300 & echo $! > {pid}; wait'])

def test_next():
    pass
"""


def test_a_test_that_hangs_ends_with_its_grandchildren(tmp_path):
    pid = tmp_path / 'pid'
    (tmp_path / 'test_it.py').write_text(HANGS.replace('{pid}', str(pid)))
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'child_processes']
        + ['--timeout=3', '--timeout-method=signal', 'test_it.py'],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parent)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert '1 failed, 1 passed' in done.stdout
    assert 'Timeout (>3.0s) from pytest-timeout' in done.stdout
    # Until the system has removed a process that was killed.
    deadline = time.monotonic() + 10
    while is_running(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_every_test_has_a_time_limit(request):
    assert float(request.config.getini('timeout')) > 0
    assert request.config.getini('timeout_method') == 'signal'
