# Copyright (c) mmleuk authors. All rights reserved.
import zlib
from pathlib import PurePath


def is_held_out(img_path: str, share: float, seed: int = 0) -> bool:
    """Decide whether the labels of an image are held out of the loss.

    Depends on the seed and on folder and name of the image alone, so that all
    workers, processes and resumed runs agree.

    Args:
        img_path (str): Path of the image.
        share (float): Expected share of images held out, in [0, 1].
        seed (int): Another seed draws other images.

    Returns:
        bool: Whether the image is held out.
    """
    name = '/'.join(PurePath(img_path).parts[-2:])
    drawn = zlib.crc32(f'{seed}:{name}'.encode())
    return drawn < share * 2**32
