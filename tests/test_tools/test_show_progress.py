# Copyright (c) mmleuk authors. All rights reserved.
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'dev' / 'show_progress.py'
PREFIX = '01/31 12:00:00 - mmengine - INFO - '
LOG = f"""\
{PREFIX}Config:
param_scheduler = [dict(end=20, type='CosineAnnealingLR')]
train_cfg = dict(max_epochs=20, type='EpochBasedTrainLoop', val_interval=5)
{PREFIX}Epoch(train)  [1][10/15]  lr: 1e-2  eta: 0:05:10  loss: 3.1234
{PREFIX}Epoch(train)  [1][15/15]  lr: 1e-2  eta: 0:05:00  loss: 2.7654
{PREFIX}Saving checkpoint at 1 epochs
"""


def show(folder, script, *arguments):
    return subprocess.run(
        [sys.executable, TOOL, folder / 'a.log', folder]
        + [sys.executable, '-c', script, *arguments],
        capture_output=True,
        text=True,
    )


def test_an_epoch_is_a_line_and_the_first_picture_is_named(tmp_path):
    old = tmp_path / 'old.png'
    old.touch()
    # Draws when all lines but the last, which says nothing, have been read.
    script = f"""
import os, pathlib, sys, time
os.utime({str(old)!r}, (1, 1))
print(sys.argv[1], end='', flush=True)
while sys.argv[1] not in pathlib.Path({str(tmp_path / 'a.log')!r}).read_text():
    time.sleep(0.01)
for name in ('b.png', 'a.png'):
    path = pathlib.Path({str(tmp_path)!r}, 'vis', name)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (4e9 - ord(name[0]), 4e9 - ord(name[0])))
print('{PREFIX}Epoch(val) [1][20/20]  lld/bbox_mAP: 0.1239  lld/b: 1')
print('{PREFIX}Epoch(train) [ 2][15/15]  eta: 1 day, 1:00:30  loss: nan')
print('{PREFIX}Epoch(test) [10/20]    eta: 0:00:30  time: 1')
"""
    done = show(tmp_path, script, LOG)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        '  epoch  1 of 20, loss 2.77, 0.0 minutes, about 5.0 left',
        '  box AP 0.124',
        f'  first picture: {tmp_path / "vis" / "b.png"}',
        '  epoch  2 of 20, loss nan, 0.0 minutes, about 1500.5 left',
        '   10 of 20 images, 0.0 minutes, about 0.5 left',
    ]
    log = (tmp_path / 'a.log').read_text()
    assert log.startswith(LOG)
    assert log.count('\n') == LOG.count('\n') + 3


@pytest.mark.parametrize(
    'end, status',
    [('raise SystemExit(3)', 3), ('os.kill(os.getpid(), 9)', 137)],
)
def test_a_failure_is_shown(tmp_path, end, status):
    script = f"""
import os
print('first')
for _ in range(99):
    print('a line')
print('{PREFIX.replace('INFO', 'ERROR')}bad file')
print('why it failed', flush=True)
{end}
"""
    done = show(tmp_path, script)
    assert done.returncode == status
    assert done.stdout.endswith('ERROR - bad file\n')
    assert done.stdout.count('\n') == 1
    assert 'why it failed' in done.stderr
    assert done.stderr.startswith('a line\n')
    assert f'its whole output is {tmp_path / "a.log"}' in done.stderr
    assert (tmp_path / 'a.log').read_text().startswith('first\n')


def test_it_is_told_how_to_be_called():
    done = subprocess.run(
        [sys.executable, TOOL, 'a.log'], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert 'LOG FOLDER COMMAND' in done.stderr
