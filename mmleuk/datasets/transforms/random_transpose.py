# Copyright (c) mmleuk authors. All rights reserved.
import random

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type

from mmleuk.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomTranspose(BaseTransform):
    """Exchange width and height of an image at random.

    Cells have no upright orientation. Together with horizontal and vertical
    flips this gives all eight orientations without resampling. Boxes stay
    exact, while those of ``Rotate`` grow.

    Required Keys:

    - img
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)

    Modified Keys: those, img_shape, scale_factor (if there is one) and
    homography_matrix.

    Args:
        prob (float): Probability.
    """

    _matrix = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'got prob={prob}, expected it in [0, 1]')
        self.prob = prob

    @cache_randomness
    def _is_drawn(self) -> bool:
        return random.random() < self.prob

    # A pipeline without labels has plain arrays for boxes.
    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Transpose one image with the given probability."""
        if not self._is_drawn():
            return results
        image = np.ascontiguousarray(np.swapaxes(results['img'], 0, 1))
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        if 'scale_factor' in results:
            results['scale_factor'] = results['scale_factor'][1::-1]
        if 'gt_bboxes' in results:
            results['gt_bboxes'].project_(self._matrix)
            results['gt_bboxes'].clip_(results['img_shape'])
        before = results.get('homography_matrix', np.eye(3, dtype=np.float32))
        results['homography_matrix'] = self._matrix @ before
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(prob={self.prob})'
