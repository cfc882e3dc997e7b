# Copyright (c) mmleuk authors. All rights reserved.
"""Which detections lie where the truth is not known."""

from typing import Optional, Tuple

import numpy as np

# Areas are sums of products of float64 coordinates: a box half covered may
# come out as 0.4999999999999999.
_ROUNDING = 1e-9


def covered_fraction(bboxes: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """Measure how much of each box the union of rectangles covers.

    Overlapping rectangles count once, and a box that straddles several gets
    the sum of its parts.

    Args:
        bboxes (np.ndarray): Boxes (x1, y1, x2, y2) in pixels, shape (n, 4).
        rectangles (np.ndarray): Rectangles (x1, y1, x2, y2) in pixels,
            shape (m, 4).

    Returns:
        np.ndarray: Covered share of each box's area in [0, 1], shape (n, ),
        float64; 0 for a box without area.
    """
    bboxes = np.asarray(bboxes, dtype=np.float64).reshape(-1, 4)
    rectangles = np.asarray(rectangles, dtype=np.float64).reshape(-1, 4)
    areas = np.prod(np.maximum(bboxes[:, 2:] - bboxes[:, :2], 0), axis=1)
    if not len(bboxes) or not len(rectangles):
        return np.zeros(len(bboxes))

    # The borders of the rectangles cut the plane into tiles, each either
    # wholly inside the union or wholly outside.
    xs = np.unique(rectangles[:, 0::2])
    ys = np.unique(rectangles[:, 1::2])
    inside_x = (rectangles[:, :1] <= xs[:-1]) & (xs[1:] <= rectangles[:, 2:3])
    inside_y = (rectangles[:, 1:2] <= ys[:-1]) & (ys[1:] <= rectangles[:, 3:4])
    covered = np.einsum('rx,ry->xy', inside_x, inside_y)

    widths = np.minimum(bboxes[:, 2:3], xs[1:]) - np.maximum(
        bboxes[:, :1], xs[:-1]
    )
    heights = np.minimum(bboxes[:, 3:4], ys[1:]) - np.maximum(
        bboxes[:, 1:2], ys[:-1]
    )
    overlaps = np.einsum(
        'nx,xy,ny->n',
        np.maximum(widths, 0),
        covered.astype(np.float64),
        np.maximum(heights, 0),
    )
    fractions = np.divide(
        overlaps, areas, out=np.zeros_like(areas), where=areas > 0
    )
    return np.clip(fractions, 0, 1)


def in_unknown_area(
    bboxes: np.ndarray,
    ignored_bboxes: np.ndarray,
    annotated_regions: Optional[np.ndarray],
    image_shape: Tuple[int, int],
    iof_thr: float = 0.5,
) -> np.ndarray:
    """Find the detections that lie mostly where the truth is not known.

    That is the union of all ignored cells and of everything outside the
    annotated regions, whatever class a detection names. A detection is
    excused for where it lies alone: whoever uses the answer must first see
    whether it matches a labelled cell.

    Args:
        bboxes (np.ndarray): Detected boxes (x1, y1, x2, y2) in pixels of the
            original image, shape (n, 4).
        ignored_bboxes (np.ndarray): Cells that are neither positive nor
            negative (``iscrowd``), shape (m, 4).
        annotated_regions (np.ndarray, optional): Rectangles in which the
            labels are complete, shape (r, 4). None means the whole image,
            no rectangle means no part of it.
        image_shape (tuple[int]): Height and width of the original image. What
            of a box hangs over the image's edge is not measured.
        iof_thr (float): Share of a box's area from which it is excused.

    Returns:
        np.ndarray: One flag a detection, shape (n, ), bool.
    """
    height, width = image_shape[:2]
    bboxes = np.clip(
        np.asarray(bboxes, dtype=np.float64).reshape(-1, 4),
        0,
        [width, height, width, height],
    )
    ignored = np.asarray(ignored_bboxes, dtype=np.float64).reshape(-1, 4)
    if annotated_regions is None:
        unknown = covered_fraction(bboxes, ignored)
    else:
        regions = np.asarray(annotated_regions, dtype=np.float64).reshape(
            -1, 4
        )
        # Known is what lies in a region and not in an ignored cell. The
        # intersection of two unions of rectangles is again such a union.
        lows = np.maximum(regions[:, None, :2], ignored[None, :, :2])
        highs = np.minimum(regions[:, None, 2:], ignored[None, :, 2:])
        both = np.concatenate([lows, highs], axis=-1).reshape(-1, 4)
        both = both[np.all(both[:, :2] < both[:, 2:], axis=1)]
        unknown = (
            1
            - covered_fraction(bboxes, regions)
            + covered_fraction(bboxes, both)
        )
    has_area = np.all(bboxes[:, :2] < bboxes[:, 2:], axis=1)
    return has_area & (unknown >= iof_thr - _ROUNDING)
