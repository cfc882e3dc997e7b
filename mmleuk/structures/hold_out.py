# Copyright (c) mmleuk authors. All rights reserved.
import zlib
from pathlib import PurePath


def is_held_out(img_path: str, share: float, seed: int = 0) -> bool:
    """Decide whether the labels of an image are held out of the loss.

    The same answer everywhere (in the workers that load an image, in every
    process of a distributed run, after a resume), because it depends on the
    last two parts of the path, its folder and its name, and the seed alone.

    Args:
        img_path (str): Path of the image.
        share (float): Expected share of images held out, in [0, 1].
        seed (int): Draws another set of images. Defaults to 0.

    Returns:
        bool: Whether the image is held out.
    """
    name = '/'.join(PurePath(img_path).parts[-2:])
    drawn = zlib.crc32(f'{seed}:{name}'.encode())
    return drawn < share * 2**32
