# Copyright (c) mmleuk authors. All rights reserved.
"""Run the interruptible training as a process, to be killed in a write.

Usage: python run_interruptible.py FOLDER [--resume] [--die-in-write NAME]
[--full-disk KEPT] [--deadly-data]
"""

import argparse
import os
import shutil
import signal
from pathlib import Path

import torch
from interruptible import build_runner


def die_in_write(partial):
    """Kill this process when half of a file has reached the disk."""
    sync = os.fsync

    def sync_or_die(descriptor):
        if partial.exists():
            os.truncate(partial, partial.stat().st_size // 2)
            sync(descriptor)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = sync_or_die


def train(folder, resume=False):
    torch.manual_seed(0)
    build_runner(folder, resume=resume).train()


class Deadly(torch.utils.data.Dataset):
    """Kills the worker that reads it.

    At its first value: a tensor that waits to be fetched from a dead worker
    makes torch fail with a broken connection instead.
    """

    metainfo = {}

    def __len__(self):
        return 12

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def train_on_a_full_disk(folder, kept):
    """Train until the disk is full, make room, and go on."""
    filler = folder / 'filler'
    build_runner(folder / 'probe', max_epochs=1).train()
    size = (folder / 'probe' / 'epoch_1.pth').stat().st_size
    for path in sorted((folder / 'probe').rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    # Room for one checkpoint, not for two.
    statistics = os.statvfs(folder)
    free = statistics.f_bavail * statistics.f_frsize
    filler.write_bytes(bytes(free - size - size // 2))
    try:
        train(folder / 'run')
    except OSError as error:
        print('stopped:', error.errno, error)
    print('there:', sorted(p.name for p in (folder / 'run').glob('*.pth*')))
    filler.unlink()
    train(folder / 'run', resume=True)
    shutil.copy(folder / 'run' / 'epoch_4.pth', kept)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--die-in-write', metavar='CHECKPOINT')
    parser.add_argument('--full-disk', metavar='KEPT')
    parser.add_argument('--deadly-data', action='store_true')
    args = parser.parse_args()
    if args.full_disk:
        train_on_a_full_disk(args.folder, args.full_disk)
        return
    if args.deadly_data:
        runner = build_runner(args.folder, num_workers=1)
        runner._train_dataloader['dataset'] = Deadly()
        runner.train()
    if args.die_in_write:
        die_in_write(args.folder / f'.{args.die_in_write}.partial')
    train(args.folder, args.resume)


if __name__ == '__main__':
    main()
