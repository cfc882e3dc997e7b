# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

from mmleuk.io.atomic_write import atomic_write

ATOMIC_BACKEND = 'mmleuk.atomic'


class AtomicBackend(LocalBackend):
    """Local files that are written as a whole or not at all."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes, into a folder that is made.

        Raises:
            OSError: If it can't be written, for example on a full disk.
        """
        try:
            with atomic_write(filepath, 'wb') as stream:
                stream.write(obj)
        except OSError as error:
            raise OSError(
                error.errno,
                f'{filepath} can not be written, and is as it was before: '
                f'{error.strerror}',
            ) from error

    def put_text(
        self,
        obj: str,
        filepath: Union[str, Path],
        encoding: str = 'utf-8',
    ) -> None:
        """Write text, see :meth:`put`."""
        self.put(obj.encode(encoding), filepath)


register_backend(ATOMIC_BACKEND, AtomicBackend, force=True)
