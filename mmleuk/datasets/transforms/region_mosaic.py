# Copyright (c) mmleuk authors. All rights reserved.
import random
from typing import List, Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform

from mmleuk.registry import TRANSFORMS

from .windows import Window, annotated_parts, cut_window


@TRANSFORMS.register_module()
class CachedRegionMosaic(BaseTransform):
    """Fill one canvas with windows around the annotated regions of several.

    Where a fifth of each field is labelled, four fifths of what a network
    computes on it teach nothing. Here a grid of windows, each of another
    field and placed around an annotated region of it, makes one image of the
    size of a field, most of it annotated. Nothing is scaled, since the size
    of a cell is evidence. A window shows what lies around its region, which
    stays un-annotated, and goes out of the region's way rather than cut a
    labelled cell: the box of half a cell is no lesson for whole ones. But
    where cells lie close, many of a field are cut by its edge, and hardly any
    of a region. With ``cut_at_edges`` the edges of the canvas cut some, too.

    Like ``CachedMosaic`` of MMDetection, the other fields come from a cache
    of those seen before. None is shown twice once the cache has enough.

    Required Keys:

    - img
    - gt_bboxes (RegionBoxes[torch.float32])
    - gt_bboxes_labels (np.int64)
    - gt_ignore_flags (bool)

    Modified Keys: those, img_shape. Removed: homography_matrix, since there
    is none for the whole canvas.

    Args:
        img_scale (tuple[int, int]): Width and height of the canvas in pixels.
        grid (tuple[int, int]): Windows across and down. Defaults to (2, 2).
        cut_at_edges (bool): Whether the edges of the canvas, in contrast to
            those between windows, may cut labelled cells. Defaults to False.
        min_visible (float): Cells of which a smaller share of the box lies in
            a window become ignored instances. Defaults to 0.5.
        margin (int): Pixels around a cell that a window shows, too, where the
            field has them. Defaults to 4.
        max_cached_images (int): Most fields in the cache. Defaults to 40.
        pad_val (int): Value of pixels that no window fills, where a field is
            smaller than a window. Defaults to 114.
    """

    def __init__(
        self,
        img_scale: Tuple[int, int],
        grid: Tuple[int, int] = (2, 2),
        cut_at_edges: bool = False,
        min_visible: float = 0.5,
        margin: int = 4,
        max_cached_images: int = 40,
        pad_val: int = 114,
    ) -> None:
        if max_cached_images < grid[0] * grid[1]:
            raise ValueError(
                f'got max_cached_images={max_cached_images}, expected at '
                f'least {grid[0] * grid[1]}, the windows of the grid {grid}'
            )
        self.img_scale = img_scale
        self.grid = grid
        self.cut_at_edges = cut_at_edges
        self.min_visible = min_visible
        self.margin = margin
        self.max_cached_images = max_cached_images
        self.pad_val = pad_val
        self.cache: List[dict] = []

    def transform(self, results: dict) -> Optional[dict]:
        """Make a canvas that shows this image and others.

        Args:
            results (dict): Results of the pipeline.

        Returns:
            dict | None: The canvas, None if nothing of the image is
            annotated.
        """
        parts = annotated_parts(results)
        if parts is not None and len(parts) == 0:
            return None
        self.cache.append(results)
        if len(self.cache) > self.max_cached_images:
            # The new one is last and stays.
            self.cache.pop(random.randrange(len(self.cache) - 1))

        width, height = self.img_scale
        columns = np.linspace(0, width, self.grid[0] + 1).astype(int)
        rows = np.linspace(0, height, self.grid[1] + 1).astype(int)
        num_others = self.grid[0] * self.grid[1] - 1
        others = self.cache[:-1]
        if len(others) >= num_others:
            chosen = random.sample(others, num_others)
        else:
            chosen = random.choices(self.cache, k=num_others)
        chosen.insert(random.randrange(num_others + 1), results)

        canvas = np.full(
            (height, width, 3), self.pad_val, dtype=results['img'].dtype
        )
        boxes, labels, flags = [], [], []
        for index, source in enumerate(chosen):
            row, column = divmod(index, self.grid[0])
            x1, x2 = columns[column : column + 2]
            y1, y2 = rows[row : row + 2]
            edges = self._edges(column, row)
            window = self._place(source, x2 - x1, y2 - y1, edges)
            view = cut_window(source, window, self.min_visible)
            view_height, view_width = view['img_shape']
            canvas[y1 : y1 + view_height, x1 : x1 + view_width] = view['img']
            view['gt_bboxes'].translate_([x1, y1])
            boxes.append(view['gt_bboxes'])
            labels.append(view['gt_bboxes_labels'])
            flags.append(view['gt_ignore_flags'])

        mosaic = dict(results)
        mosaic.pop('homography_matrix', None)
        mosaic['img'] = canvas
        mosaic['img_shape'] = canvas.shape[:2]
        mosaic['gt_bboxes'] = type(boxes[0]).cat(boxes)
        mosaic['gt_bboxes_labels'] = np.concatenate(labels)
        mosaic['gt_ignore_flags'] = np.concatenate(flags)
        return mosaic

    def _edges(self, column: int, row: int) -> np.ndarray:
        """Find the sides of a window that may cut labelled cells.

        Args:
            column (int): Its column in the grid.
            row (int): Its row in the grid.

        Returns:
            np.ndarray: bool, shape (2, 2): of each axis, the low side and the
            high side.
        """
        place, last = np.array([column, row]), np.array(self.grid) - 1
        is_edge = np.stack([place == 0, place == last], axis=1)
        return is_edge & self.cut_at_edges

    def _place(
        self, results: dict, width: int, height: int, edges: np.ndarray
    ) -> Window:
        """Place a window on an annotated region and its cells.

        Args:
            results (dict): Results of one field.
            width (int): Width of the window in pixels.
            height (int): Height of the window in pixels.
            edges (np.ndarray): From :meth:`_edges`.

        Returns:
            tuple[int, int, int, int]: The window, inside the image.
        """
        parts = annotated_parts(results)
        img_height, img_width = results['img_shape'][:2]
        if parts is None:
            part = np.array([0, 0, img_width, img_height])
        else:
            part = random.choice(parts)
        cells = self._choose_cells(results, part, width, height)
        x1, x2 = self._interval(
            part[0::2], cells[0::2], edges[0], width, img_width
        )
        y1, y2 = self._interval(
            part[1::2], cells[1::2], edges[1], height, img_height
        )
        return x1, y1, x2, y2

    def _choose_cells(
        self, results: dict, part: np.ndarray, width: int, height: int
    ) -> np.ndarray:
        """Choose labelled cells that one window holds whole.

        Args:
            results (dict): Results of one field.
            part (np.ndarray): The annotated region, (x1, y1, x2, y2).
            width (int): Width of the window in pixels.
            height (int): Height of the window in pixels.

        Returns:
            np.ndarray: Bounds of as many cells of the region as fit, in a
            random order, with their margin; from infinity to minus infinity
            where there is none.
        """
        boxes = results['gt_bboxes'].tensor.numpy()
        boxes = boxes[~results['gt_ignore_flags']].astype(float)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        is_in = (centers >= part[:2]) & (centers <= part[2:])
        boxes = boxes[is_in.all(axis=1)]
        # Whole pixels hold a cell that lies between them. A window that is
        # too small for the margin shows as much of it as it can.
        sizes = np.ceil(boxes[:, 2:]) - np.floor(boxes[:, :2])
        margins = np.clip(([width, height] - sizes) // 2, 0, self.margin)
        boxes += np.concatenate([-margins, margins], axis=1)
        img_height, img_width = results['img_shape'][:2]
        boxes = boxes.clip(0, [img_width, img_height] * 2)
        bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        for index in random.sample(range(len(boxes)), len(boxes)):
            low = np.minimum(bounds[:2], boxes[index, :2])
            high = np.maximum(bounds[2:], boxes[index, 2:])
            size = np.ceil(high) - np.floor(low)
            if size[0] <= width and size[1] <= height:
                bounds = np.concatenate([low, high])
        return bounds

    @staticmethod
    def _interval(
        region: np.ndarray,
        cells: np.ndarray,
        edges: np.ndarray,
        length: int,
        img_length: int,
    ) -> Tuple[int, int]:
        """Draw an interval on one axis.

        Args:
            region (np.ndarray): Interval that it holds or lies in, as far as
                the cells allow.
            cells (np.ndarray): Interval that it holds, no longer than
                itself.
            edges (np.ndarray): Whether its low and its high end may cut
                cells, and the region as far as its middle.
            length (int): Its length in pixels.
            img_length (int): Length of the image in pixels.

        Returns:
            tuple[int, int]: The interval, in the image.
        """
        starts = sorted((region[0], region[1] - length))
        lowest, highest = np.ceil(cells[1]) - length, np.floor(cells[0])
        middle = region.mean()
        if edges[0]:
            starts[1], highest = max(starts[1], middle), np.inf
        if edges[1]:
            starts[0], lowest = min(starts[0], middle - length), -np.inf
        start = round(random.uniform(*np.clip(starts, lowest, highest)))
        start = max(0, min(start, img_length - length))
        return start, min(start + length, img_length)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(img_scale={self.img_scale}, '
            f'grid={self.grid}, cut_at_edges={self.cut_at_edges}, '
            f'min_visible={self.min_visible}, margin={self.margin}, '
            f'max_cached_images={self.max_cached_images}, '
            f'pad_val={self.pad_val})'
        )
