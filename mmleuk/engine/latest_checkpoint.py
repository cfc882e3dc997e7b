# Copyright (c) mmleuk authors. All rights reserved.
import logging
import re
import zipfile
from pathlib import Path
from typing import Optional, Union

from mmengine.logging import print_log

_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def find_checkpoint(work_dir: Union[str, Path]) -> Optional[str]:
    """Find the checkpoint to go on from.

    That is the one which ``last_checkpoint`` names, as in MMEngine. Where an
    interruption has left that file empty, or a checkpoint that is cut short,
    it is the whole one with the greatest number of those that are there.

    Args:
        work_dir (str | Path): Folder of the run.

    Returns:
        str | None: Its path, None if the run has left no checkpoint.

    Raises:
        FileNotFoundError: If checkpoints were left, but none of them whole.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        print_log(
            f'{work_dir} holds no last_checkpoint: the training starts anew',
            logger='current',
        )
        return None
    named = pointer.read_text(encoding='utf-8').strip()
    # One of another place, or a folder of DeepSpeed, is its owner's affair.
    if named and ('://' in named or Path(named).is_dir()):
        return named
    if named and is_whole(Path(named)):
        return named
    numbered = {
        int(match[1]): path
        for path in work_dir.glob('*.pth')
        if (match := _NUMBERED.fullmatch(path.name))
    }
    for _, path in sorted(numbered.items(), reverse=True):
        if is_whole(path):
            print_log(
                f'{pointer} names {named or "no file"}, which is no whole '
                f'checkpoint: the training goes on from {path}',
                logger='current',
                level=logging.WARNING,
            )
            return str(path)
    raise FileNotFoundError(
        f'{pointer} names {named or "no file"}, which is no whole checkpoint, '
        f'and {work_dir} holds no other. Name one by --resume, or leave '
        '--resume out to start anew'
    )


def is_whole(path: Path) -> bool:
    """Tell whether a file is a checkpoint of torch that is not cut short.

    The directory of an archive stands at its end.

    Args:
        path (Path): The file.

    Returns:
        bool: Whether it is.
    """
    return path.is_file() and zipfile.is_zipfile(path)
