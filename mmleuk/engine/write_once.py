# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path
from typing import Union

from mmleuk.io.atomic_write import write_text


def write_once(path: Union[str, Path], text: str) -> Path:
    """Write a file that later steps of a run depend on.

    A resumed run calls this again; later steps already depend on the file, so
    its content must be identical.

    Args:
        path (str | Path): The file. Its folder is made.
        text (str): The content.

    Returns:
        Path: The file.

    Raises:
        FileExistsError: If the file exists with another content.
    """
    path = Path(path)
    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding='utf-8') != text:
        raise FileExistsError(
            f'{path} is there with another content, expected that of this '
            'run: its folder holds results of other settings. Take another '
            f'work directory, or remove {path.parent}'
        )
    return path
