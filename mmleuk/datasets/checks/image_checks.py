# Copyright (c) mmleuk authors. All rights reserved.
"""Looks at all images: which can't be decoded, which look alike."""

import hashlib
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from mmengine.utils import track_parallel_progress, track_progress
from scipy.fft import dctn

from .misplaced_boxes import BoxMove, find_better_place
from .overlapping_fields import shrink

# Perceptual hash: the signs of the 8 x 8 lowest frequencies of the image at
# 32 x 32 pixels, as Zauner (2010) describes it. Images are similar if their
# hashes differ in at most three of the 64 bits.
HASH_SIDE, LOW_SIDE = 8, 32
MAX_DISTANCE = 3

# Images with a lower standard deviation of grey values at 32 x 32 pixels are
# blank and not compared.
MIN_CONTRAST = 1.0

_NO_BOXES = np.zeros((0, 4))


@dataclass
class ImageCheck:
    """Hashes of one image.

    Args:
        path (str): The image file.
        digest (str, optional): Hash of its pixels, None if it can't be
            decoded.
        perceptual (int, optional): Perceptual hash of 64 bits, None for a
            blank image.
        move (BoxMove, optional): Where its boxes belong if they are
            misplaced.
        thumbnail (np.ndarray, optional): See :func:`shrink`.
    """

    path: str
    digest: Optional[str] = None
    perceptual: Optional[int] = None
    move: Optional[BoxMove] = None
    thumbnail: Optional[np.ndarray] = field(default=None, compare=False)


def load_image(path: str) -> np.ndarray:
    """Decode an image as ``LoadImageFromFile`` does.

    Args:
        path (str): The image file.

    Returns:
        np.ndarray: Shape (h, w, 3), uint8, BGR.

    Raises:
        ValueError: If it can't be decoded.
    """
    image = mmcv.imfrombytes(fileio.get(path), flag='color')
    if image is None:
        raise ValueError(f'{path} can not be decoded as an image')
    return image


def check_image(path: str, boxes: np.ndarray = _NO_BOXES) -> ImageCheck:
    """Decode one image as ``LoadImageFromFile`` does, and look at it.

    An image that can't be decoded has no digest.

    Args:
        path (str): The image file.
        boxes (np.ndarray): Boxes of its cells with a nucleus, (x1, y1, x2,
            y2), shape (n, 4).

    Returns:
        ImageCheck: What was found.
    """
    try:
        image = load_image(path)
    except (OSError, ValueError, cv2.error):
        return ImageCheck(path)
    digest = hashlib.blake2b(image.tobytes(), digest_size=16)
    digest.update(str(image.shape).encode())
    return ImageCheck(
        path,
        digest.hexdigest(),
        perceptual_hash(image),
        find_better_place(image, boxes),
        shrink(image),
    )


def _check_item(item: Tuple[str, np.ndarray]) -> ImageCheck:
    """Check a path with its boxes."""
    return check_image(*item)


def perceptual_hash(image: np.ndarray) -> Optional[int]:
    """Hash an image so that similar images have similar hashes.

    Args:
        image (np.ndarray): Shape (h, w, 3), uint8, BGR.

    Returns:
        int | None: 64 bits; None for a blank image.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(
        grey, (LOW_SIDE, LOW_SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float64)
    if small.std() < MIN_CONTRAST:
        return None
    low = dctn(small, norm='ortho')[:HASH_SIDE, :HASH_SIDE].ravel()
    bits = np.packbits(low > np.median(low[1:]))
    return int.from_bytes(bits.tobytes(), 'big')


def check_images(
    boxes: Mapping[str, np.ndarray], workers: Optional[int] = None
) -> List[ImageCheck]:
    """Check many images in parallel, with a progress bar on stderr.

    Args:
        boxes (Mapping[str, np.ndarray]): Boxes of each image file, see
            :func:`check_image`.
        workers (int, optional): Number of processes, one a core if None.

    Returns:
        list[ImageCheck]: In the order of the files.
    """
    items = list(boxes.items())
    workers = min(workers or os.cpu_count() or 1, len(items))
    if workers <= 1:
        checks = track_progress(_check_item, items, file=sys.stderr)
    else:
        checks = track_parallel_progress(
            _check_item,
            items,
            workers,
            initializer=cv2.setNumThreads,
            initargs=(0,),
            chunksize=8,
            file=sys.stderr,
        )
    print(file=sys.stderr)
    return checks


def group_identical(checks: Sequence[ImageCheck]) -> List[List[str]]:
    """Group the paths of images with the same pixels, two or more a group."""
    groups: Dict[str, List[str]] = defaultdict(list)
    for check in checks:
        if check.digest is not None:
            groups[check.digest].append(check.path)
    return [group for group in groups.values() if len(group) > 1]


def find_similar(
    checks: Sequence[ImageCheck],
) -> Iterator[Tuple[ImageCheck, ImageCheck]]:
    """Find the pairs of images that look alike but are not identical.

    Hashes that differ in at most three bits agree in at least one of their
    four quarters, so only pairs that share a quarter are compared.

    Args:
        checks (Sequence[ImageCheck]): Of different paths.

    Yields:
        tuple[ImageCheck]: Two images.
    """
    # One image of each digest stands for all of them.
    unlike = {c.digest: c for c in checks if c.perceptual is not None}
    buckets: Dict[Tuple[int, int], List[ImageCheck]] = defaultdict(list)
    for check in unlike.values():
        for quarter in range(MAX_DISTANCE + 1):
            part = check.perceptual >> (16 * quarter) & 0xFFFF
            buckets[quarter, part].append(check)
    seen = set()
    for bucket in buckets.values():
        for one, two in combinations(bucket, 2):
            distance = (one.perceptual ^ two.perceptual).bit_count()
            if distance <= MAX_DISTANCE and (one.path, two.path) not in seen:
                seen.add((one.path, two.path))
                yield one, two
