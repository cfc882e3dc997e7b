# Copyright (c) mmleuk authors. All rights reserved.
"""What the first and last bytes of an image file say."""

import struct
import warnings
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import BinaryIO, List, Optional, Tuple

import cv2
import numpy as np
from PIL import Image

from .faults import (
    NO_IMAGE,
    NOT_RGB,
    SIXTEEN_BIT,
    TOO_LARGE,
    TRUNCATED_IMAGE,
    Fault,
)

# Pillow's own bound against decompression bombs, whatever a caller has set
# it to.
MAX_PIXELS = 178_956_970

# EXIF's tag 274 says how the camera was held; 1 is upright, from 5 on the
# stored rows are the columns of what the loader returns.
EXIF_ORIENTATION = 274
EXIF_TRANSPOSED = (5, 6, 7, 8)

# Formats that can have one.
FORMATS_WITH_EXIF = ('JPEG', 'MPO', 'PNG', 'TIFF', 'WEBP')

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
PNG_RGB = 2

# How files start, how their last part does, and how that ends. Inside the
# pixels of a JPEG neither can occur: 0 follows on 255 there.
ENDS = (
    (PNG_SIGNATURE, b'IDAT', b'IEND\xaeB`\x82'),
    (b'\xff\xd8', b'\xff\xda', b'\xff\xd9'),
)

# Bytes read at both ends: PNG's chunks before the pixels, and an EXIF chunk
# after them, fit in nearly always. Where not, Pillow parses the file.
HEAD, TAIL = 4096, 1024


@dataclass
class ImageHeader:
    """What is known of an image without decoding it.

    Args:
        stored (tuple[int]): (width, height) in pixels as stored.
        orientation (int): EXIF's orientation, 1 where the image is upright.
        fault (Fault, optional): Why it can't be used. Defaults to None.
        notes (list[Fault]): What the loader converts.
    """

    stored: Tuple[int, int] = (0, 0)
    orientation: int = 1
    fault: Optional[Fault] = None
    notes: List[Fault] = field(default_factory=list)

    @property
    def size(self) -> Tuple[int, int]:
        """tuple[int]: (width, height) in pixels as the loader sees them."""
        width, height = self.stored
        if self.orientation in EXIF_TRANSPOSED:
            return height, width
        return width, height


def read_header(image_file: BinaryIO) -> ImageHeader:
    """Read the header of an image, and whether its end is there.

    A PNG takes about 10 microseconds, since Pillow is not asked.

    Args:
        image_file (BinaryIO): The open file, at its start.

    Returns:
        ImageHeader: With a fault if the file is no image, an enormous one,
        or a PNG or JPEG that is cut off.
    """
    head = image_file.read(HEAD)
    header = _read_png(head)
    if header is None:
        image_file.seek(0)
        header = _read_by_pillow(image_file)
    width, height = header.stored
    if header.fault is None and width * height > MAX_PIXELS:
        header.fault = TOO_LARGE
    if header.fault is not None:
        return header

    length = image_file.seek(0, 2)
    image_file.seek(max(0, length - TAIL))
    tail = image_file.read(TAIL)
    if head.startswith(PNG_SIGNATURE) and b'eXIf' in tail:
        image_file.seek(0)
        header = _read_by_pillow(image_file)
    for start, last_part, end in ENDS:
        # Bytes after the end are allowed: then the whole file is searched.
        if head.startswith(start) and end not in tail:
            image_file.seek(0)
            content = image_file.read()
            if end not in content[content.rfind(last_part) :]:
                header.fault = TRUNCATED_IMAGE
    return header


def _read_png(head: bytes) -> Optional[ImageHeader]:
    """Parse the chunks of a PNG before its pixels.

    Args:
        head (bytes): The first bytes of the file.

    Returns:
        ImageHeader | None: None where the bytes are no PNG or do not reach
        to the pixels, or hold EXIF: Pillow shall judge.
    """
    if not head.startswith(PNG_SIGNATURE) or head[12:16] != b'IHDR':
        return None
    if len(head) < 33:
        return ImageHeader(fault=TRUNCATED_IMAGE)
    width, height, depth, colour = struct.unpack('>IIBB', head[16:26])
    if not (width and height):
        return ImageHeader(fault=NO_IMAGE)
    start, has_alpha = 33, False
    while True:
        if start + 8 > len(head):
            if len(head) < HEAD:
                return ImageHeader(fault=TRUNCATED_IMAGE)
            return None
        length, name = struct.unpack('>I4s', head[start : start + 8])
        if name == b'IDAT':
            break
        if name == b'eXIf':
            return None
        has_alpha |= name == b'tRNS'
        start += 12 + length
    notes = [SIXTEEN_BIT] if depth == 16 else []
    if colour != PNG_RGB or has_alpha:
        notes.append(NOT_RGB)
    return ImageHeader((width, height), notes=notes)


def _read_by_pillow(image_file: BinaryIO) -> ImageHeader:
    """Read a header by Pillow."""
    with warnings.catch_warnings():
        # It warns of half its bound and of odd EXIF.
        warnings.simplefilter('ignore')
        try:
            with Image.open(image_file) as image:
                return ImageHeader(
                    _stored_size(image),
                    _read_orientation(image),
                    notes=_read_notes(image.mode),
                )
        except Image.DecompressionBombError:
            return ImageHeader(fault=TOO_LARGE)
        # What Pillow raises on damaged files varies with the format.
        except (OSError, ValueError, SyntaxError, KeyError, struct.error):
            return ImageHeader(fault=NO_IMAGE)


def _stored_size(image: Image.Image) -> Tuple[int, int]:
    """Size before EXIF is heeded, which Pillow itself does for TIFF."""
    if image.format == 'TIFF':
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


def _read_orientation(image: Image.Image) -> int:
    """Read EXIF's orientation, 1 where there is none."""
    if not _is_turned(image.format):
        return 1
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    return orientation if orientation in range(2, 9) else 1


@cache
def _is_turned(form: str) -> bool:
    """Tell whether OpenCV, and so mmcv's loader, heeds EXIF's orientation.

    In which formats it does differs from version to version (4.12 leaves
    WEBP as it is, 5.0 does not), so that a small image is tried.
    """
    if form not in FORMATS_WITH_EXIF:
        return False
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = EXIF_TRANSPOSED[1]
    stream = BytesIO()
    # MPO are JPEG with more images behind.
    form = 'JPEG' if form == 'MPO' else form
    Image.new('RGB', (16, 8)).save(stream, form, exif=exif)
    content = np.frombuffer(stream.getvalue(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return image is not None and image.shape[:2] == (16, 8)


def _read_notes(mode: str) -> List[Fault]:
    """Tell what the loader converts in an image of one of Pillow's modes."""
    if mode == 'RGB':
        return []
    is_deep = mode.startswith(('I', 'F'))
    return [SIXTEEN_BIT, NOT_RGB] if is_deep else [NOT_RGB]
