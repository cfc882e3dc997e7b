# Copyright (c) mmleuk authors. All rights reserved.
import logging
import re
from pathlib import Path
from typing import Optional, Union
from zipfile import is_zipfile

from mmengine.logging import print_log

_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def find_checkpoint(work_dir: Union[str, Path]) -> Optional[str]:
    """Find the checkpoint to resume from.

    As in MMEngine, this is the one that ``last_checkpoint`` names. If that
    file is empty or names an incomplete checkpoint, which an interruption may
    cause, the complete checkpoint with the highest number is taken.

    Args:
        work_dir (str | Path): Folder of the run.

    Returns:
        str | None: Its path, None if there is no ``last_checkpoint``.

    Raises:
        FileNotFoundError: If no checkpoint is complete.
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
    # A checkpoint of torch is a ZIP archive, whose directory is at its end. A
    # remote file, or a folder as DeepSpeed writes, is not checked.
    if named and ('://' in named or Path(named).is_dir() or is_zipfile(named)):
        return named
    numbered = {
        int(match[1]): path
        for path in work_dir.glob('*.pth')
        if (match := _NUMBERED.fullmatch(path.name))
    }
    for _, path in sorted(numbered.items(), reverse=True):
        if is_zipfile(path):
            print_log(
                f'{pointer} names {named or "no file"}, which is no whole '
                f'checkpoint: the training resumes from {path}',
                logger='current',
                level=logging.WARNING,
            )
            return str(path)
    raise FileNotFoundError(
        f'{pointer} names {named or "no file"}, which is no whole checkpoint, '
        f'and {work_dir} holds no other. Name one by --resume, or leave '
        '--resume out to start anew'
    )
