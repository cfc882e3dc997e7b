# Copyright (c) mmleuk authors. All rights reserved.
import random
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmleuk.registry import TRANSFORMS

from .windows import annotated_parts, cut_window


@TRANSFORMS.register_module()
class RegionCrop(BaseTransform):
    """Crop an image to one of its annotated regions.

    A crop to a rectangle has no un-annotated area, so that plain MMDetection
    can learn from it. Boxes are clipped at the border. A fully annotated
    image stays as it is. An image without annotated area gives None: the
    dataset draws another one.

    Required Keys:

    - img
    - gt_bboxes (RegionBoxes[torch.float32])
    - gt_bboxes_labels (np.int64)
    - gt_ignore_flags (bool)

    Modified Keys: those, img_shape and homography_matrix.

    Args:
        min_visible (float): Cells of which a smaller share of the box is left
            become ignored instances.
    """

    leaves_unannotated_area = False

    def __init__(self, min_visible: float = 0.0) -> None:
        self.min_visible = min_visible

    @cache_randomness
    def _choose(self, num_parts: int) -> int:
        return random.randrange(num_parts)

    def transform(self, results: dict) -> Optional[dict]:
        """Crop one image.

        Args:
            results (dict): Results of the pipeline.

        Returns:
            dict | None: The cropped image, None if nothing is annotated.
        """
        parts = annotated_parts(results)
        if parts is None:
            return results
        if len(parts) == 0:
            return None
        x1, y1, x2, y2 = parts[self._choose(len(parts))]
        # Whole pixels that are annotated to their edges.
        window = int(np.ceil(x1)), int(np.ceil(y1)), int(x2), int(y2)
        if window[0] >= window[2] or window[1] >= window[3]:
            return None
        return cut_window(results, window, self.min_visible)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(min_visible={self.min_visible})'
