# Copyright (c) mmleuk authors. All rights reserved.
"""Checks of files and file names from untrusted sources."""

import json
import math
import os
import os.path as osp
from typing import Any, Iterable, List, Optional, Tuple

from .errors import AnnotationError
from .faults import MAC_FILES, NO_JSON
from .issue_log import IssueLog

# Twenty times what the whole of LLD takes in the wordiest format.
MAX_BYTES = 100 * 2**20

# What file systems allow in one part of a path.
MAX_NAME_BYTES = 255


def check_size(source: str, max_bytes: int = MAX_BYTES) -> None:
    """Raise an AnnotationError if a file is larger than ``max_bytes``."""
    size = osp.getsize(source)
    if size > max_bytes:
        raise AnnotationError(
            source,
            '',
            f'the file has {size / 2**20:.0f} MiB, expected at most '
            f'{max_bytes / 2**20:.0f}',
            'Check that this is the annotation file, then raise the limit '
            '(--max-mib)',
        )


def read_bytes(source: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a local file of at most ``max_bytes``, see :func:`check_size`."""
    check_size(source, max_bytes)
    with open(source, 'rb') as file:
        return file.read()


def load_bounded_json(source: str, max_bytes: int = MAX_BYTES) -> Any:
    """Load a JSON file of a limited size, see :func:`read_bytes`.

    Raises:
        AnnotationError: If the file is larger or no JSON.
        FileNotFoundError: If it is not there.
    """
    return parse_json(read_bytes(source, max_bytes), source)


def parse_json(content: bytes, source: str) -> Any:
    """Parse JSON in UTF-8, with or without a byte order mark.

    Raises:
        AnnotationError: If the content is no JSON, with the fault NO_JSON.
    """
    try:
        return json.loads(content.decode('utf-8-sig'))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            source,
            '',
            f'the content is no JSON in UTF-8: {error}',
            NO_JSON.fix,
            NO_JSON,
        ) from None


def parse_number(value: Any, place: str, what: str) -> float:
    """Read a finite number from a number or a numeral.

    Args:
        value (object): What the file states.
        place (str): File and record, for the message.
        what (str): Name of the number, for the message.

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
            place,
            '',
            f'{what} is {str(value)[:80]!r}, expected a finite number',
            'Correct it',
        )
    return number


def leave_out_mac_files(
    names: Iterable[str],
    folder: str,
    suffixes: Tuple[str, ...],
    issues: Optional[IssueLog] = None,
) -> List[str]:
    """Leave out the files ``._*`` that macOS puts beside others.

    Args:
        names (Iterable[str]): File names that a file backend lists. That of
            the local disk leaves hidden files out itself.
        folder (str): Their folder.
        suffixes (tuple[str]): Suffixes in lower case of what is counted.
        issues (IssueLog, optional): Where they are counted.

    Returns:
        list[str]: The other names, sorted.
    """
    names = sorted(names)
    if issues is not None:
        listed = os.listdir(folder) if osp.isdir(folder) else names
        found = [
            name
            for name in listed
            if name.startswith('._') and name.lower().endswith(suffixes)
        ]
        if found:
            issues.add(MAC_FILES, f'{folder}: {min(found)}', len(found))
    return [name for name in names if not name.startswith('._')]


def split_name(name: str) -> List[str]:
    """Split a path of any system, without empty parts, "." and ".."."""
    return [
        part
        for part in name.replace('\\', '/').split('/')
        if part not in ('', '.', '..')
    ]


def find_name_fault(name: str) -> Optional[str]:
    """Say why no file can have a name, to follow "the name ..."."""
    parts = split_name(name)
    if not parts:
        return 'is empty'
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
            file name.
    """
    fault = find_name_fault(name)
    if '..' in name.split('/'):
        fault = 'leaves the image folder'
    elif fault is None and (osp.isabs(name) or '\\' in name):
        fault = 'is not relative to the image folder'
    if fault is not None:
        raise AnnotationError(
            source,
            record,
            f'the image name {name[:120]!r} {fault}, expected a path below '
            'the image folder, with "/" between its parts',
            'Correct the name',
        )
    return name
