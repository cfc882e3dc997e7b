# Copyright (c) mmleuk authors. All rights reserved.
import os

# Bytes near the end of a complete file, by its first bytes.
_ENDS = {
    b'\xff\xd8\xff': b'\xff\xd9',
    b'\x89PNG\r\n\x1a\n': b'IEND',
}
# Cameras append bytes of their own after the end of the image.
_TAIL = 1 << 16


def is_cut_short(path: str) -> bool:
    """Tell whether the end of a JPEG or PNG file is missing.

    OpenCV silently fills the missing part with grey, so that cells there
    would be missed. Other formats are not checked.
    """
    with open(path, 'rb') as stream:
        head = stream.read(8)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL))
        tail = stream.read()
    return any(
        head.startswith(start) and end not in tail
        for start, end in _ENDS.items()
    )
