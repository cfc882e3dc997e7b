# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np

# Shorter side in pixels at which sharpness is measured, so that a finer scan
# of a field does not count as blurred. Fields have at least 640 px.
SIDE = 512


def measure_sharpness(image: np.ndarray) -> float:
    """Measure how sharp an image is: the variance of its Laplacian.

    Pech-Pacheco et al., 2000, "Diatom autofocusing in brightfield microscopy:
    a comparative study", ICPR, section 3 (LAP2 and its variance). A larger
    image is scaled down first, by area, to a shorter side of 512 px.

    The measure also grows with the number of edges and with contrast. So it
    only orders fields of the same magnification, camera and stain, and a
    limit for blurred fields has to be found on such fields.

    Args:
        image (np.ndarray): BGR image in [0, 255], shape (h, w, 3).

    Returns:
        float: The variance, from 0, in squared grey levels, to a thousandth.
    """
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image.astype(np.uint8, copy=False), cv2.COLOR_BGR2GRAY)
    scale = SIDE / min(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return round(float(cv2.Laplacian(grey, cv2.CV_64F).var()), 3)
