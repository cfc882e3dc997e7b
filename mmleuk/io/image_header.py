# Copyright (c) mmleuk authors. All rights reserved.
"""Read the header and the end of image files, without decoding them."""

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

# Pillow's own limit against decompression bombs, which a caller may change.
MAX_PIXELS = 178_956_970

# EXIF's tag 274 says how the camera was held: 1 is upright, from 5 on the
# loader exchanges rows and columns.
EXIF_ORIENTATION = 274
EXIF_TRANSPOSED = (5, 6, 7, 8)

# Formats that can have EXIF.
FORMATS_WITH_EXIF = ('JPEG', 'MPO', 'PNG', 'TIFF', 'WEBP')

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'

# Bytes of the signature and the first chunk, and the colour type of RGB.
PNG_HEAD, PNG_RGB = 33, 2

# How files start, how their last part does, and how that ends. Inside the
# pixels of a JPEG neither can occur: 0 follows on 255 there.
ENDS = (
    (PNG_SIGNATURE, b'IDAT', b'IEND\xaeB`\x82'),
    (b'\xff\xd8', b'\xff\xda', b'\xff\xd9'),
)

# Bytes read at both ends, in which the EXIF chunk of a PNG nearly always is.
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

    Args:
        image_file (BinaryIO): The open file, at its start.

    Returns:
        ImageHeader: With a fault if the file is no image, an enormous one,
        or a PNG or JPEG that is cut off.
    """
    head = image_file.read(HEAD)
    length = image_file.seek(0, 2)
    image_file.seek(max(0, length - TAIL))
    tail = image_file.read(TAIL)
    header = _read_plain_png(head, tail)
    if header is None:
        image_file.seek(0)
        header = _read_by_pillow(image_file, head, tail)
    if header.fault is not None:
        return header
    for start, last_part, end in ENDS:
        # Bytes after the end are allowed: then the whole file is searched.
        if head.startswith(start) and end not in tail:
            image_file.seek(0)
            content = image_file.read()
            if end not in content[content.rfind(last_part) :]:
                header.fault = TRUNCATED_IMAGE
    return header


def _read_plain_png(head: bytes, tail: bytes) -> Optional[ImageHeader]:
    """Read the size of a PNG, five times faster than Pillow.

    None if it is no PNG, or one with transparency, EXIF or a long header.
    """
    chunks, pixels, _ = head.partition(b'IDAT')
    if (
        not pixels
        or not chunks.startswith(PNG_SIGNATURE + b'\0\0\0\rIHDR')
        or b'tRNS' in chunks
        or b'eXIf' in chunks
        or b'eXIf' in tail
    ):
        return None
    width, height, depth, colour = struct.unpack('>IIBB', head[16:26])
    if not 0 < width * height <= MAX_PIXELS:
        return None
    notes = [SIXTEEN_BIT] * (depth == 16) + [NOT_RGB] * (colour != PNG_RGB)
    return ImageHeader((width, height), notes=notes)


def _read_by_pillow(
    image_file: BinaryIO, head: bytes, tail: bytes
) -> ImageHeader:
    """Read a header by Pillow."""
    with warnings.catch_warnings():
        # Pillow warns of half its limit and of odd EXIF.
        warnings.simplefilter('ignore')
        try:
            with Image.open(image_file) as image:
                return _describe(image, head, tail)
        except Image.DecompressionBombError:
            return ImageHeader(fault=TOO_LARGE)
        # What Pillow raises on damaged files varies with the format.
        except (OSError, ValueError, SyntaxError, KeyError, struct.error):
            is_cut = head[12:16] == b'IHDR' and len(head) < PNG_HEAD
            return ImageHeader(fault=TRUNCATED_IMAGE if is_cut else NO_IMAGE)


def _describe(image: Image.Image, head: bytes, tail: bytes) -> ImageHeader:
    """Describe an image that Pillow has opened, without decoding it."""
    width, height = image.size
    if image.format == 'TIFF':
        # Pillow has exchanged the sides already if EXIF says so.
        width, height = int(image.tag_v2[256]), int(image.tag_v2[257])
    if width * height > MAX_PIXELS:
        return ImageHeader((width, height), fault=TOO_LARGE)
    is_png = image.format == 'PNG'
    orientation = 1
    # Pillow decodes a PNG to find EXIF after its pixels.
    if not is_png or b'eXIf' in head or b'eXIf' in tail:
        orientation = _read_orientation(image)
    notes = []
    if image.mode.startswith(('I', 'F')) or (is_png and head[24] == 16):
        notes.append(SIXTEEN_BIT)
    if image.mode != 'RGB' or (is_png and 'transparency' in image.info):
        notes.append(NOT_RGB)
    return ImageHeader((width, height), orientation, notes=notes)


def _read_orientation(image: Image.Image) -> int:
    """Read EXIF's orientation, 1 where there is none."""
    if not _is_turned(image.format):
        return 1
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    return orientation if orientation in range(2, 9) else 1


@cache
def _is_turned(form: str) -> bool:
    """Tell whether OpenCV, and so mmcv's loader, applies EXIF's orientation.

    The formats differ from version to version (4.12 leaves WEBP as it is, 5.0
    does not), so a small image is tried.
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
