# Copyright (c) mmleuk authors. All rights reserved.
"""Geometry of the un-annotated area of an image.

The area is a shapely geometry in pixels, where pixel (i, j) covers
[j, j + 1] x [i, i + 1], or None if the whole image is annotated. We keep the
complement of the annotated regions because it composes: the un-annotated area
of several images joined or blended in one canvas is the union of theirs, and
an outer cover of it never calls an un-annotated pixel annotated.
"""

import math
from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

# Coordinates of rectangles are rounded to this fraction of a pixel, so that
# edges which differ only by rounding do not make slivers.
_GRID = 2.0**-10
# Areas that differ by less are equal, in square pixels.
_AREA_TOLERANCE = 1e-6


def _keep_polygons(geometry: BaseGeometry) -> Optional[BaseGeometry]:
    """Drop the points and lines that touching borders leave."""
    if geometry.area <= 0:
        return None
    if geometry.geom_type in ('Polygon', 'MultiPolygon'):
        return geometry
    parts = shapely.get_parts(geometry)
    return shapely.union_all(parts[shapely.area(parts) > 0])


def check_regions(regions: Iterable[Sequence[float]]) -> np.ndarray:
    """Check annotated regions.

    Args:
        regions (Iterable[Sequence[float]]): Rectangles [x1, y1, x2, y2] in
            pixels. There may be none.

    Returns:
        np.ndarray: The rectangles, shape (n, 4), float64.

    Raises:
        ValueError: If a rectangle is not four finite numbers with x1 < x2
            and y1 < y2.
    """
    regions = list(regions)
    for index, region in enumerate(regions):
        try:
            x1, y1, x2, y2 = map(float, region)
            # All comparisons with NaN are false.
            valid = -math.inf < x1 < x2 < math.inf
            valid &= -math.inf < y1 < y2 < math.inf
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise ValueError(
                f'annotated region {index} is {region!r}, expected '
                '[x1, y1, x2, y2] in pixels with x1 < x2 and y1 < y2'
            )
    return np.asarray(regions, dtype=np.float64).reshape(-1, 4)


def unannotated_area(
    regions: Optional[Iterable[Sequence[float]]], img_shape: Tuple[int, int]
) -> Optional[BaseGeometry]:
    """Compute the un-annotated area of an image.

    Args:
        regions (Iterable[Sequence[float]], optional): Annotated rectangles
            [x1, y1, x2, y2] in pixels, which may overlap and reach over the
            image's edge. None: the whole image is annotated; empty: nothing
            is.
        img_shape (tuple[int, int]): Height and width of the image.

    Returns:
        BaseGeometry | None: The area, None if there is none.

    Raises:
        ValueError: If a region is not valid, see :func:`check_regions`.
    """
    if regions is None:
        return None
    annotated = shapely.union_all(shapely.box(*check_regions(regions).T))
    frame = shapely.box(0, 0, *img_shape[::-1])
    return _keep_polygons(frame.difference(annotated))


def cut_area(
    area: Optional[BaseGeometry], img_shape: Tuple[int, int]
) -> Optional[BaseGeometry]:
    """Keep the part of an area that is inside an image (height, width)."""
    if area is None:
        return None
    height, width = img_shape
    x1, y1, x2, y2 = area.bounds
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height:
        return area
    return _keep_polygons(area.intersection(shapely.box(0, 0, width, height)))


def move_area(
    area: Optional[BaseGeometry], matrix: np.ndarray
) -> Optional[BaseGeometry]:
    """Map an area by a homography.

    Args:
        area (BaseGeometry, optional): The area.
        matrix (np.ndarray): Homography of the coordinates, shape (3, 3).

    Returns:
        BaseGeometry | None: The mapped area, None if it is empty.

    Raises:
        ValueError: If the homography maps a point of the area to infinity.
    """
    if area is None:
        return None
    matrix = np.asarray(matrix, dtype=np.float64)

    def project(points: np.ndarray) -> np.ndarray:
        homogeneous = points @ matrix[:, :2].T + matrix[:, 2]
        if (homogeneous[:, 2] <= 0).any():
            raise ValueError(
                'got a homography that maps un-annotated area to infinity, '
                f'expected one that is finite on the image: {matrix.tolist()}'
            )
        return homogeneous[:, :2] / homogeneous[:, 2:]

    moved = shapely.transform(area, project)
    if not moved.is_valid:
        moved = shapely.make_valid(moved)
    return _keep_polygons(moved)


def join_areas(
    areas: Iterable[Optional[BaseGeometry]],
) -> Optional[BaseGeometry]:
    """Unite areas; the result is None if all of them are."""
    areas = [area for area in areas if area is not None]
    if not areas:
        return None
    return areas[0] if len(areas) == 1 else shapely.union_all(areas)


def _intervals(
    area: BaseGeometry, top: float, bottom: float, x_range: Tuple[float, float]
) -> Tuple[list, bool]:
    """Cover an area in a slab by disjoint intervals; tell if exactly."""
    piece = _keep_polygons(
        area.intersection(shapely.box(x_range[0], top, x_range[1], bottom))
    )
    if piece is None:
        return [], True
    intervals: List[list] = []
    for x1, _, x2, _ in sorted(
        shapely.bounds(shapely.get_parts(piece)).tolist()
    ):
        if intervals and x1 <= intervals[-1][1]:
            intervals[-1][1] = max(intervals[-1][1], x2)
        else:
            intervals.append([x1, x2])
    covered = (bottom - top) * sum(x2 - x1 for x1, x2 in intervals)
    return (
        [tuple(interval) for interval in intervals],
        covered - piece.area <= _AREA_TOLERANCE,
    )


def cover_rectangles(
    area: Optional[BaseGeometry], step: float = 8.0
) -> np.ndarray:
    """Cover an area by disjoint rectangles.

    The area is cut into horizontal slabs at the height of each corner. The
    cover is exact where all edges are upright. Where they slant (after a
    rotation or a shear) it is an outer cover by slabs of at most ``step``
    pixels.

    Args:
        area (BaseGeometry, optional): The area.
        step (float): Maximum height in pixels of a slab with slanting edges.

    Returns:
        np.ndarray: Rectangles (x1, y1, x2, y2) in pixels, shape (n, 4),
        float32.
    """
    if area is not None:
        area = _keep_polygons(shapely.set_precision(area, _GRID))
    if area is None:
        return np.zeros((0, 4), dtype=np.float32)
    x_range = area.bounds[0::2]
    heights = np.unique(shapely.get_coordinates(area)[:, 1])
    rectangles = []
    # Rectangles that end at the top of the current slab, by interval of x.
    open_rectangles: dict = {}
    for top, bottom in zip(heights[:-1], heights[1:]):
        intervals, exact = _intervals(area, top, bottom, x_range)
        slabs = [(bottom, intervals)]
        if not exact:
            cuts = np.linspace(
                top, bottom, math.ceil((bottom - top) / step) + 1
            )
            slabs = [
                (low, _intervals(area, high, low, x_range)[0])
                for high, low in zip(cuts[:-1], cuts[1:])
            ]
        for low, intervals in slabs:
            continued = {}
            for interval in intervals:
                rectangle = open_rectangles.get(interval)
                if rectangle is None:
                    rectangle = [interval[0], top, interval[1], low]
                    rectangles.append(rectangle)
                rectangle[3] = low
                continued[interval] = rectangle
            open_rectangles = continued
            top = low
    return np.asarray(rectangles, dtype=np.float32).reshape(-1, 4)
