# Copyright (c) mmleuk authors. All rights reserved.
"""Names of pictures that images of several folders do not share."""

import hashlib
import os
import re
from pathlib import Path
from typing import Dict, Iterable, Tuple
from urllib.parse import quote

# Formats that OpenCV writes and every browser shows.
_WRITABLE = ('.png', '.jpg', '.jpeg')
# File systems take names of 255 bytes; step and ending come on top.
_LONGEST_KEY = 200


def _parts(path: str) -> Tuple[str, ...]:
    """Folders and name of a path or address, without a root."""
    path = os.path.normpath(str(path).replace('://', '/', 1))
    return tuple(p for p in re.split(r'[/\\]', path) if p not in ('', '.'))


def common_folder(paths: Iterable[str]) -> Tuple[str, ...]:
    """Find the deepest folder that all images lie in, as its parts."""
    return tuple(os.path.commonprefix([_parts(path)[:-1] for path in paths]))


class PictureNames:
    """Unique names for the pictures of images.

    The name is the image's path below a root, so that images of the same name
    in two folders get different ones. It never leads out of the folder of the
    pictures: '..' and unprintable characters are replaced. An image outside
    of the root keeps all of its folders.

    Args:
        root (Sequence[str]): Parts of the root, see :func:`common_folder`.
    """

    def __init__(self, root: Iterable[str] = ()) -> None:
        self.root = tuple(root)
        self._owners: Dict[str, str] = {}

    def relative_path(self, img_path: str) -> str:
        """Name the file of an image's picture.

        Returns:
            str: A relative path with '/' between folders, ending in .png,
            .jpg or .jpeg, different for different images.
        """
        parts = _parts(img_path)
        if parts[: len(self.root)] == self.root:
            parts = parts[len(self.root) :]
        parts = tuple(
            '__' if part == '..' else re.sub(r'[^\w .()+=,@%~#&-]', '_', part)
            for part in parts
        )
        name = '/'.join(parts) or '_'
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in _WRITABLE:
            stem, suffix = name, '.png'
        count = 1
        name = stem + suffix
        # A disk may take capitals and small letters for the same.
        while self._owners.setdefault(name.lower(), img_path) != img_path:
            count += 1
            name = f'{stem}~{count}{suffix}'
        return name

    def file(self, folder: str, img_path: str) -> str:
        """Name the file of an image's picture in a folder."""
        return str(Path(folder, *self.relative_path(img_path).split('/')))

    def key(self, img_path: str) -> str:
        """Name an image's picture in a backend, where names have no folders.

        It is the relative path with '+' for '/', ambiguous characters quoted
        as in URLs.
        """
        name = self.relative_path(img_path)
        key = '+'.join(
            quote(part, safe=' (),=@~#&') for part in name.split('/')
        )
        if len(key) > _LONGEST_KEY:
            digest = hashlib.sha1(name.encode()).hexdigest()[:10]
            key = f'{key[:_LONGEST_KEY]}~{digest}'
        return key
