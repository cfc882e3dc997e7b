# Copyright (c) mmleuk authors. All rights reserved.
"""Guards around files and file names that come from elsewhere."""

import json
import math
import os
import os.path as osp
from typing import Any, List, Optional

from mmengine import fileio

from .errors import AnnotationError
from .image_folder import ImageFolder

# Twenty times what the whole of LLD takes in the wordiest format. A file
# beyond it is not read unless the caller says so.
MAX_BYTES = 100 * 2**20

# What file systems allow in one part of a path.
MAX_NAME_BYTES = 255


def read_bytes(
    source: str,
    max_bytes: int = MAX_BYTES,
    backend_args: Optional[dict] = None,
) -> bytes:
    """Read a file of a bounded size.

    Args:
        source (str): The file.
        max_bytes (int): Largest size in bytes. Defaults to ``MAX_BYTES``.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None, the local disk, where the size is looked at first.

    Returns:
        bytes: The content.

    Raises:
        AnnotationError: If the file is larger.
        FileNotFoundError: If it is not there.
    """
    size = osp.getsize(source) if backend_args is None else 0
    content = b''
    if size <= max_bytes:
        content = fileio.get(source, backend_args=backend_args)
        size = len(content)
    if size > max_bytes:
        raise AnnotationError(
            source,
            '',
            f'the file has {size / 2**20:.0f} MiB, expected at most '
            f'{max_bytes / 2**20:.0f}',
            'Check that this is the annotation file, then raise the limit '
            '(--max-mib)',
        )
    return content


def load_bounded_json(
    source: str,
    max_bytes: int = MAX_BYTES,
    backend_args: Optional[dict] = None,
) -> Any:
    """Load a JSON file of a bounded size.

    Args:
        source (str): The file.
        max_bytes (int): Largest size in bytes. Defaults to ``MAX_BYTES``.
        backend_args (dict, optional): Arguments of the file backend. Defaults
            to None.

    Returns:
        Any: The content.

    Raises:
        AnnotationError: If the file is larger or no JSON.
    """
    content = read_bytes(source, max_bytes, backend_args)
    try:
        return json.loads(content.decode('utf-8-sig'))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            source,
            '',
            f'the content is no JSON: {error}',
            'Export the file anew',
        ) from None


def parse_number(value: object, source: str, record: str, what: str) -> float:
    """Read a finite number.

    Args:
        value (object): A number or a numeral.
        source (str): The annotation file, for the message.
        record (str): The record in it, for the message.
        what (str): Name of the number, for the message.

    Returns:
        float: The number.

    Raises:
        AnnotationError: If it is something else.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AnnotationError(
            source,
            record,
            f'{what} is {str(value)[:80]!r}, expected a finite number',
            'Correct it',
        )
    return number


def _split_name(name: str) -> List[str]:
    """Split a path, whichever system wrote it, into its parts."""
    return [
        part
        for part in name.replace('\\', '/').split('/')
        if part not in ('', '.')
    ]


def _fault_of_name(name: str) -> Optional[str]:
    """Say why a name can't be that of an image in a folder, if so."""
    parts = _split_name(name)
    if not parts:
        return 'is empty'
    if '..' in parts:
        return 'leaves the image folder'
    if any(ord(character) < 32 for character in name):
        return 'has control characters'
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return 'has characters that no file name can have'
    if longest > MAX_NAME_BYTES:
        return f'has a part of {longest} bytes, more than {MAX_NAME_BYTES}'
    return None


def check_name(name: str, source: str, record: str) -> str:
    """Check that a name stays inside the image folder.

    Args:
        name (str): Name of an image as an annotation file states it.
        source (str): The annotation file, for the message.
        record (str): The record in it, for the message.

    Returns:
        str: The name.

    Raises:
        AnnotationError: If it is absolute, climbs by ``..``, or can't be a
            file name at all.
    """
    fault = _fault_of_name(name)
    if fault is None and (osp.isabs(name) or '\\' in name):
        fault = 'is not relative to the image folder'
    if fault is not None:
        raise AnnotationError(
            source,
            record,
            f'the image name {name[:120]!r} {fault}, expected a path below '
            'the image folder, parted by "/"',
            'Correct the name',
        )
    return name


class ExportImages(ImageFolder):
    """The images of an export, which states paths of its own."""

    def find(self, stated: str, source: str, record: str) -> str:
        """Find the image that a labelling tool speaks of.

        Tools state paths on their own server. The longest end of the path
        that is a file of this folder is taken.

        Args:
            stated (str): Name or path as the tool states it.
            source (str): The annotation file, for the message.
            record (str): The record in it, for the message.

        Returns:
            str: Name of the image, relative to the folder. Where none is
            there, the last part of the path.

        Raises:
            AnnotationError: If it can't be a path below the folder.
        """
        fault = _fault_of_name(stated)
        if fault is not None:
            raise AnnotationError(
                source,
                record,
                f'the image name {stated[:120]!r} {fault}, expected the path '
                'of an image',
                'Correct the name',
            )
        parts = _split_name(stated)
        for start in range(len(parts)):
            name = '/'.join(parts[start:])
            if fileio.exists(self.join(name), self.backend_args):
                return name
        return parts[-1]
