# Copyright (c) mmleuk authors. All rights reserved.
import os
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

ATOMIC_BACKEND = 'mmleuk.atomic'


class AtomicBackend(LocalBackend):
    """The local disk, on which a file is there as a whole or not at all.

    What is written comes to be under its name in one step, when all of it has
    reached the disk. A process that is killed meanwhile, or a full disk,
    leaves the file as it was before.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes.

        Args:
            obj (bytes): The content.
            filepath (str | Path): The file. Its folder is made.

        Raises:
            OSError: If it can't be written, such as for want of space.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f'.{path.name}.partial')
        try:
            with partial.open('wb') as stream:
                stream.write(obj)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OSError(
                error.errno,
                f'{path} can not be written, and is as it was before: '
                f'{error.strerror}',
            ) from error

    def put_text(
        self,
        obj: str,
        filepath: Union[str, Path],
        encoding: str = 'utf-8',
    ) -> None:
        """Write text.

        Args:
            obj (str): The content.
            filepath (str | Path): The file. Its folder is made.
            encoding (str): Its encoding. Defaults to 'utf-8'.
        """
        self.put(obj.encode(encoding), filepath)


register_backend(ATOMIC_BACKEND, AtomicBackend, force=True)
