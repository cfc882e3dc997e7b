# Copyright (c) mmleuk authors. All rights reserved.
import random
from typing import List, Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform

from mmleuk.registry import TRANSFORMS
from mmleuk.structures import RegionBoxes
from mmleuk.structures.matching import center_in_regions

from .windows import Window, annotated_parts, cut_window


@TRANSFORMS.register_module()
class CachedRegionMosaic(BaseTransform):
    """Join windows around the annotated regions of several fields.

    With a fifth of each field labelled, four fifths of the computation on a
    field yield no loss. A canvas of windows, each around an annotated region
    of another field, is mostly annotated. Nothing is scaled, because the size
    of a cell is evidence. A window also shows the un-annotated surroundings
    of its region and is shifted so that it does not cut labelled cells, whose
    half boxes would be misleading. In full fields the image border does cut
    cells; with ``cut_at_edges`` the border of the canvas does so, too.

    As in ``CachedMosaic`` of MMDetection, the other fields come from a cache
    of earlier ones, without repetition once the cache is large enough.

    Required Keys:

    - img
    - gt_bboxes (RegionBoxes[torch.float32])
    - gt_bboxes_labels (np.int64)
    - gt_ignore_flags (bool)

    Modified Keys: those, img_shape. Removed: homography_matrix, because the
    canvas has none.

    Args:
        img_scale (tuple[int, int]): Width and height of the canvas in pixels.
        grid (tuple[int, int]): Number of columns and rows of windows.
        cut_at_edges (bool): Whether the border of the canvas may cut labelled
            cells. Borders between windows never do.
        min_visible (float): Cells of which a smaller share of the box lies in
            a window become ignored instances.
        margin (int): Pixels around a labelled cell that a window also shows,
            inside the field.
        max_cached_images (int): Maximum number of fields in the cache.
        pad_val (int): Value of pixels that no window fills, where a field is
            smaller than a window.
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
            dict | None: The canvas, None if nothing in the image is
            annotated.
        """
        parts = annotated_parts(results)
        if parts is not None and len(parts) == 0:
            return None
        self.cache.append(results)
        if len(self.cache) > self.max_cached_images:
            # The last one, which is new, stays.
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
        views = []
        for index, source in enumerate(chosen):
            row, column = divmod(index, self.grid[0])
            x1, x2 = columns[column : column + 2]
            y1, y2 = rows[row : row + 2]
            is_edge = [
                [column == 0, column == self.grid[0] - 1],
                [row == 0, row == self.grid[1] - 1],
            ]
            edges = np.array(is_edge) & self.cut_at_edges
            window = self._place(source, x2 - x1, y2 - y1, edges)
            view = cut_window(source, window, self.min_visible)
            view_height, view_width = view['img_shape']
            canvas[y1 : y1 + view_height, x1 : x1 + view_width] = view['img']
            view['gt_bboxes'].translate_([x1, y1])
            views.append(view)

        mosaic = dict(results)
        mosaic.pop('homography_matrix', None)
        mosaic['img'] = canvas
        mosaic['img_shape'] = canvas.shape[:2]
        mosaic['gt_bboxes'] = RegionBoxes.cat(
            [view['gt_bboxes'] for view in views]
        )
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            mosaic[key] = np.concatenate([view[key] for view in views])
        return mosaic

    def _place(
        self, results: dict, width: int, height: int, edges: np.ndarray
    ) -> Window:
        """Place a window inside an image, on a region and its cells."""
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
        """Choose labelled cells of a region that fit into a window.

        Returns their joint bounds with the margin, from infinity to minus
        infinity if there is none.
        """
        boxes = results['gt_bboxes'].tensor.numpy()
        boxes = boxes[~results['gt_ignore_flags']].astype(float)
        boxes = boxes[center_in_regions(boxes, part[None])]
        # Sizes in whole pixels. A window too small for the margin shows as
        # much of it as fits.
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
        """Draw an interval of the image on one axis.

        It contains ``cells``, and contains or lies in ``region`` as far as
        the cells allow. An end that is one of the ``edges`` may cut cells,
        and the region up to its middle.
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
