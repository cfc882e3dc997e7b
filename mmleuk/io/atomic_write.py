# Copyright (c) mmleuk authors. All rights reserved.
"""Files that are there as a whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Iterator, Optional, Union


@contextmanager
def atomic_path(
    path: Union[str, Path], keep_partial: bool = False
) -> Iterator[Path]:
    """Give the name under which to write a file until it is complete.

    When the block ends, the partial file gets the name ``path`` in one step.
    If the block raises, the partial file is removed and ``path`` is as it was
    before. So a process that is killed or a full disk never leaves a file cut
    short under its name.

    Args:
        path (str | Path): The file. Its folder is made.
        keep_partial (bool): Whether the partial file stays, as
            ``<name>.partial``, if the block raises: for results of hours.

    Yields:
        Path: The partial file, in the folder of ``path``. The block creates
        and closes it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = '' if keep_partial else '.'
    partial = path.with_name(f'{hidden}{path.name}.partial')
    try:
        yield partial
        with partial.open('rb') as stream:
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        if not keep_partial:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_write(
    path: Union[str, Path],
    mode: str = 'w',
    encoding: Optional[str] = 'utf-8',
    keep_partial: bool = False,
    **kwargs: Any,
) -> Iterator[IO]:
    """Open a file that appears under its name when the block ends.

    Args:
        path (str | Path): The file. Its folder is made.
        mode (str): Mode of :func:`open`, ``'w'`` or ``'wb'``.
        encoding (str, optional): Encoding of text.
        keep_partial (bool): As for :func:`atomic_path`.
        kwargs (dict): Further arguments of :func:`open`.

    Yields:
        IO: The open file.
    """
    if 'b' in mode:
        encoding = None
    with atomic_path(path, keep_partial) as partial:
        with partial.open(mode, encoding=encoding, **kwargs) as stream:
            yield stream


def write_text(
    path: Union[str, Path], text: str, errors: str = 'strict'
) -> None:
    """Write text in UTF-8 as a whole or not at all, see :func:`atomic_write`.

    ``errors`` says what to do with what UTF-8 can't hold, as for :func:`open`.
    """
    with atomic_write(path, errors=errors) as stream:
        stream.write(text)
