# Copyright (c) mmleuk authors. All rights reserved.
"""Find the annotated regions of a transformed image and cut windows out.

The boxes carry the complement of the regions through all transforms, see
:class:`mmleuk.structures.RegionBoxes`.
"""

from typing import Optional, Tuple

import numpy as np
import shapely

from mmleuk.structures import RegionBoxes
from mmleuk.structures.regions import cut_area

# Left, top, right, bottom in whole pixels.
Window = Tuple[int, int, int, int]


def annotated_parts(results: dict) -> Optional[np.ndarray]:
    """Find the connected parts of the annotated area of an image.

    Args:
        results (dict): Results of a pipeline.

    Returns:
        np.ndarray | None: Bounds (x1, y1, x2, y2) of each part in pixels,
        shape (n, 4). None if the whole image is annotated.

    Raises:
        TypeError: If the boxes are no :class:`RegionBoxes`.
    """
    boxes = results['gt_bboxes']
    if not isinstance(boxes, RegionBoxes):
        raise TypeError(
            f'{results.get("img_path")}: got boxes of type '
            f'{type(boxes).__name__}, expected RegionBoxes. Load the '
            'annotations with LoadLLDAnnotations'
        )
    height, width = results['img_shape'][:2]
    unannotated = cut_area(boxes.unannotated, (height, width))
    if unannotated is None:
        return None
    annotated = shapely.box(0, 0, width, height).difference(unannotated)
    parts = [part for part in shapely.get_parts(annotated) if part.area >= 1]
    return shapely.bounds(np.asarray(parts, dtype=object)).reshape(-1, 4)


def cut_window(
    results: dict, window: Window, min_visible: float = 0.0
) -> dict:
    """Cut a window out of an image, with its boxes and regions.

    Args:
        results (dict): Results of a pipeline; they stay as they are.
        window (tuple[int, int, int, int]): The window, inside the image.
        min_visible (float): Cells of which a smaller share of the box lies
            inside become ignored instances.

    Returns:
        dict: New results, without the cells that lie outside.
    """
    x1, y1, x2, y2 = window
    cut = dict(results)
    cut['img'] = results['img'][y1:y2, x1:x2]
    cut['img_shape'] = cut['img'].shape[:2]
    shift = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]], dtype=np.float32)
    cut['homography_matrix'] = shift @ results.get(
        'homography_matrix', np.eye(3, dtype=np.float32)
    )

    boxes = results['gt_bboxes'].clone()
    areas = boxes.areas
    boxes.translate_([-x1, -y1])
    boxes.clip_(cut['img_shape'])
    visible = boxes.areas / areas.clamp(min=1e-6)
    kept = (visible > 0).numpy()
    cut['gt_bboxes'] = boxes[kept]
    cut['gt_bboxes_labels'] = results['gt_bboxes_labels'][kept]
    hidden = (visible < min_visible).numpy()
    cut['gt_ignore_flags'] = (results['gt_ignore_flags'] | hidden)[kept]
    return cut
