# Copyright (c) mmleuk authors. All rights reserved.
"""Geometry of the un-annotated area of an image.

The area is a shapely geometry in pixels, where pixel (i, j) covers
[j, j + 1] x [i, i + 1], or None if the whole image is annotated. We keep the
complement of the annotated regions because it composes: the un-annotated area
of several images joined or blended in one canvas is the union of theirs, and
an outer cover of it never calls an un-annotated pixel annotated.
"""

import math
from typing import Iterable, Optional, Sequence, Tuple

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


def _edges(area: BaseGeometry) -> np.ndarray:
    """Edges of an area, each from its upper to its lower end, (n, 2, 2)."""
    rings = shapely.get_rings(shapely.get_parts(area))
    points, ring_ids = shapely.get_coordinates(rings, return_index=True)
    edges = np.stack([points[:-1], points[1:]], axis=1)
    edges = edges[ring_ids[:-1] == ring_ids[1:]]
    points_up = edges[:, 0, 1] > edges[:, 1, 1]
    edges[points_up] = edges[points_up, ::-1]
    return edges


def _intervals(
    edges: np.ndarray, heights: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cover an area by intervals in each slab between two heights.

    Args:
        edges (np.ndarray): Edges of the area, see :func:`_edges`.
        heights (np.ndarray): Ascending heights of the cuts, those of all
            corners among them: in a slab no edge ends or meets another.

    Returns:
        tuple: Of each interval its slab, its left and its right end, and by
        how many square pixels it is too large, each of shape (n, ). Intervals
        come by slab, then from left to right; those of a slab may overlap.
    """
    first, last = np.searchsorted(heights, edges[:, :, 1]).T
    counts = last - first
    edges = edges.repeat(counts, axis=0)
    # An edge has a row for each slab that it crosses, from its first one on.
    slabs = np.arange(len(edges)) - (counts.cumsum() - last).repeat(counts)
    (x1, y1), (x2, y2) = edges.transpose(1, 2, 0)
    top, bottom = heights[slabs], heights[slabs + 1]
    ends = np.stack([top, bottom])
    xs = x1 + (x2 - x1) * ((ends - y1) / (y2 - y1))
    # Two neighbours are the left and the right side of a trapezoid.
    order = np.lexsort((xs.sum(axis=0), slabs))
    left, right = xs[:, order].reshape(2, -1, 2).transpose(2, 0, 1)
    slabs, height = slabs[order][::2], (bottom - top)[order][::2]
    x1, x2 = left.min(axis=0), right.max(axis=0)
    excess = height * (x2 - x1 - (right - left).mean(axis=0))
    # Outwards, so that rounding takes no area away.
    x1, x2 = np.floor(x1 / _GRID) * _GRID, np.ceil(x2 / _GRID) * _GRID
    return slabs, x1, x2, excess


def _split_slanting(
    heights: np.ndarray, excess: np.ndarray, step: float
) -> np.ndarray:
    """Split slabs whose intervals are no exact cover, by steps at most."""
    sizes = np.diff(heights)
    counts = np.where(excess > _AREA_TOLERANCE, np.ceil(sizes / step), 1)
    counts = counts.astype(int)
    numbers = np.arange(counts.sum())
    numbers -= (counts.cumsum() - counts).repeat(counts)
    shares = numbers / counts.repeat(counts)
    cuts = heights[:-1].repeat(counts) + shares * sizes.repeat(counts)
    return np.append(cuts, heights[-1])


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
    edges = _edges(area)
    heights = np.unique(edges[:, :, 1])
    slabs, x1, x2, excess = _intervals(edges, heights)
    excess = np.bincount(slabs, excess, minlength=len(heights) - 1)
    cuts = _split_slanting(heights, excess, step)
    if len(cuts) > len(heights):
        slabs, x1, x2, _ = _intervals(edges, cuts)
    # Unite what overlaps or touches in a slab. No side crosses another, so
    # that both ends of the intervals ascend.
    first, last = _runs((slabs[1:] == slabs[:-1]) & (x1[1:] <= x2[:-1]))
    slabs, x1, x2 = slabs[first], x1[first], x2[last]
    # Unite equal intervals of successive slabs.
    order = np.lexsort((slabs, x2, x1))
    slabs, x1, x2 = slabs[order], x1[order], x2[order]
    joins = (x1[1:] == x1[:-1]) & (x2[1:] == x2[:-1])
    joins &= slabs[1:] == slabs[:-1] + 1
    first, last = _runs(joins)
    x1, x2 = x1[first], x2[first]
    y1, y2 = cuts[slabs[first]], cuts[slabs[last] + 1]
    rectangles = np.stack([x1, y1, x2, y2], axis=1)
    return rectangles[np.lexsort((x1, y1))].astype(np.float32)


def _runs(joins: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """First and last row of each run of rows that are joined to the next.

    Args:
        joins (np.ndarray): Whether each row but the last is, bool, (n - 1, ).
    """
    breaks = (~joins).nonzero()[0]
    return np.append(0, breaks + 1), np.append(breaks, len(joins))
