# Copyright (c) mmleuk authors. All rights reserved.
import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

from PIL import Image, ImageOps

# Of both kinds of picture. 4:2:0 chroma would blur the borders of granules.
JPEG_OPTIONS = dict(quality=82, optimize=True, subsampling=0)


@dataclass(frozen=True)
class Picture:
    """A JPEG in the page and the part of the image that it shows.

    Args:
        uri (str): The picture as a data URI.
        left, top (float): Corner of the part in pixels of the image.
        width, height (float): Size of the part in pixels of the image.
    """

    uri: str
    left: float
    top: float
    width: float
    height: float


def open_image(
    file: str,
    size: Tuple[int, int],
    root: Optional[Union[str, Path]] = None,
) -> Image.Image:
    """Read an image as the detector saw it.

    Args:
        file (str): The image.
        size (tuple[int, int]): Width and height that its boxes refer to.
        root (str | Path, optional): Folder that ``file`` is relative to.

    Returns:
        Image: In RGB.

    Raises:
        OSError: If it is not there or cannot be read.
        ValueError: If it is of another size or no image that is safe to open.
    """
    path = Path(file) if root is None else Path(root) / file
    try:
        with Image.open(path) as image:
            # Detectors read images upright.
            image = ImageOps.exif_transpose(image).convert('RGB')
    except Image.DecompressionBombError as error:
        raise ValueError(f'{path}: {error}') from error
    if image.size != size:
        raise ValueError(
            f'{path} has {image.width} x {image.height} pixels, expected '
            f'{size[0]} x {size[1]} as when cells were sought in it'
        )
    return image


def shrink(image: Image.Image, longer_side: int) -> Picture:
    """Make a picture whose sides have at most ``longer_side`` pixels."""
    small = image.copy()
    small.thumbnail((longer_side, longer_side), Image.Resampling.LANCZOS)
    return Picture(_to_uri(small), 0, 0, image.width, image.height)


def crop(
    image: Image.Image, bbox: Sequence[float], window: float, side: int
) -> Picture:
    """Make a picture of a cell and its surroundings.

    Args:
        image (Image): The image.
        bbox (Sequence[float]): (x1, y1, x2, y2) in pixels.
        window (float): Side of the square shown in pixels of the image. A
            cell that does not fit is shown in a larger one.
        side (int): Side of the picture in pixels.

    Returns:
        Picture: The picture, white outside of the image.
    """
    x1, y1, x2, y2 = bbox
    window = max(window, 1.1 * max(x2 - x1, y2 - y1), 1.0)
    left, top = (x1 + x2 - window) / 2, (y1 + y2 - window) / 2
    # Within the image as far as it goes: context says more than white.
    left = max(0.0, min(left, image.width - window))
    top = max(0.0, min(top, image.height - window))
    right, bottom = left + window, top + window
    if right > image.width or bottom > image.height:
        size = (math.ceil(right), math.ceil(bottom))
        canvas = Image.new('RGB', size, (255, 255, 255))
        canvas.paste(image)
        image = canvas
    part = image.resize(
        (side, side),
        Image.Resampling.LANCZOS,
        box=(left, top, right, bottom),
    )
    return Picture(_to_uri(part), left, top, window, window)


def _to_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, 'JPEG', **JPEG_OPTIONS)
    return 'data:image/jpeg;base64,' + base64.b64encode(
        stream.getvalue()
    ).decode('ascii')
