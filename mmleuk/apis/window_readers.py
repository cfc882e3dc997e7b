# Copyright (c) mmleuk authors. All rights reserved.
"""Read windows of images that are too large to decode."""

from abc import ABCMeta, abstractmethod
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from mmleuk.optional_packages import import_optional

# Larger images are read in parts. Decoded, this is 300 MB.
MAX_PIXELS = 100_000_000

# Formats of slide scanners, for OpenSlide. TIFF files are read by libvips.
SLIDE_EXTENSIONS = (
    *('.bif', '.czi', '.mrxs', '.ndpi', '.scn'),
    *('.svs', '.svslide', '.vms', '.vmu'),
)


class UnreadableImageError(ValueError):
    """An image that can't be read, and why."""


class WindowReader(metaclass=ABCMeta):
    """An image that is read window by window.

    Subclass it to pass images from another store to ``LLDInferencer``.

    Args:
        width (int): Width of the image in pixels.
        height (int): Its height.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height

    @abstractmethod
    def read(self, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
        """Read a window that lies inside the image; x2 and y2 are exclusive.

        Returns:
            np.ndarray: BGR, uint8, shape (y2 - y1, x2 - x1, 3).

        Raises:
            UnreadableImageError: If the file is broken there.
        """

    def close(self) -> None:  # noqa: B027
        """Close open files; by default none are."""


class ArrayReader(WindowReader):
    """Windows of an array, such as a ``np.memmap``.

    Args:
        image (np.ndarray): BGR, uint8, shape (h, w, 3).
    """

    def __init__(self, image: np.ndarray) -> None:
        super().__init__(image.shape[1], image.shape[0])
        self.image = image

    def read(self, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
        """See :meth:`WindowReader.read`."""
        return np.array(self.image[y1:y2, x1:x2])


class VipsReader(WindowReader):
    """Windows of a PNG, JPEG, TIFF or other image, by libvips.

    Of tiled and stripped TIFF files only the needed parts are read. Others
    are unpacked once into a temporary file, not into memory.

    Args:
        path (str): The image.

    Raises:
        ImportError: If pyvips is missing.
        UnreadableImageError: If libvips can't read the file.
    """

    def __init__(self, path: str) -> None:
        pyvips = import_optional(
            'pyvips', f'{path} has more than {MAX_PIXELS} pixels and', 'slides'
        )
        self._error = pyvips.Error
        try:
            # By default libvips fills missing or broken parts with black.
            image = pyvips.Image.new_from_file(
                path, access='random', fail_on='error'
            ).autorot()
            if image.hasalpha():
                image = image.flatten(background=255)
            self._image = image.colourspace('srgb').cast('uchar')
        except pyvips.Error as error:
            raise UnreadableImageError(_one_line(error)) from error
        if self._image.bands != 3:
            raise UnreadableImageError(
                f'it has {self._image.bands} channels, expected 3'
            )
        super().__init__(self._image.width, self._image.height)

    def read(self, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
        """See :meth:`WindowReader.read`."""
        try:
            window = self._image.crop(x1, y1, x2 - x1, y2 - y1).numpy()
        except self._error as error:
            raise UnreadableImageError(_one_line(error)) from error
        return np.ascontiguousarray(window[..., ::-1])


class SlideReader(WindowReader):
    """Windows of a whole slide at full resolution, by OpenSlide.

    Areas that were not scanned are white.

    Args:
        path (str): The slide.

    Raises:
        ImportError: If openslide-python or its library is missing.
        UnreadableImageError: If OpenSlide can't read the file.
    """

    def __init__(self, path: str) -> None:
        openslide = import_optional(
            'openslide', f'{path} is a slide and', 'slides'
        )
        self._errors = (openslide.OpenSlideError, OSError)
        try:
            self._slide = openslide.OpenSlide(path)
        except self._errors as error:
            raise UnreadableImageError(_one_line(error)) from error
        super().__init__(*self._slide.dimensions)

    def read(self, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
        """See :meth:`WindowReader.read`."""
        size = (x2 - x1, y2 - y1)
        try:
            window = self._slide.read_region((x1, y1), 0, size)
        except self._errors as error:
            raise UnreadableImageError(_one_line(error)) from error
        page = Image.new('RGB', size, (255, 255, 255))
        page.paste(window, mask=window.getchannel('A'))
        return np.ascontiguousarray(np.asarray(page)[..., ::-1])

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def open_large(path: str) -> Optional[WindowReader]:
    """Open an image that should not be decoded as a whole.

    Returns:
        WindowReader | None: None for an image of at most ``MAX_PIXELS``, and
        for an unknown format.

    Raises:
        ImportError: If the package that reads it is missing.
        UnreadableImageError: If the file is broken.
    """
    if Path(path).suffix.lower() in SLIDE_EXTENSIONS:
        return SlideReader(path)
    try:
        # Reads only the header.
        with Image.open(path) as image:
            is_large = image.width * image.height > MAX_PIXELS
    except Image.DecompressionBombError:
        is_large = True
    except (OSError, ValueError, SyntaxError):
        # Unknown to Pillow; decoding it will report the error.
        is_large = False
    return VipsReader(path) if is_large else None


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
