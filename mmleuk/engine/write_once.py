# Copyright (c) mmleuk authors. All rights reserved.
import os
from pathlib import Path
from typing import Union


def write_once(path: Union[str, Path], text: str) -> Path:
    """Write a file that later steps of a run are made from.

    A run that goes on after an interruption comes here again. What it has
    done by then was done with the file as it is, so the file must not change.

    Args:
        path (str | Path): The file. Its folder is made.
        text (str): The content.

    Returns:
        Path: The file.

    Raises:
        FileExistsError: If the file is there with another content.
    """
    path = Path(path)
    if path.exists():
        if path.read_text(encoding='utf-8') != text:
            raise FileExistsError(
                f'{path} is there with another content, expected that of '
                'this run: its folder holds results of other settings. Take '
                f'another work directory, or remove {path.parent}'
            )
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # In one step: what is cut short must not pass for the file.
    partial = path.with_name(f'{path.name}.partial')
    partial.write_text(text, encoding='utf-8')
    os.replace(partial, path)
    return path
