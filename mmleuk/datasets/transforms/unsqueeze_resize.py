# Copyright (c) mmleuk authors. All rights reserved.
from typing import Tuple

import mmcv
from mmdet.datasets.transforms import Resize

from mmleuk.registry import TRANSFORMS


@TRANSFORMS.register_module()
class UnsqueezeResize(Resize):
    """Resize images that were squeezed horizontally, to round cells.

    The image is widened to its true proportions and made as large as fits
    into ``scale``, in one step. Boxes and regions follow, and predictions are
    mapped back by ``scale_factor`` into the squeezed image, as with any
    ``Resize``.

    Args:
        scale (tuple[int]): Greatest width and height in pixels.
        squeeze (float): Width over height of a round cell in the images.
        keep_ratio (bool): Must be True, as wrappers such as ``RandomResize``
            say: the true proportions are kept.
        **kwargs: Other arguments of the parent, except ``scale_factor``.

    Raises:
        ValueError: If ``squeeze`` is not positive, or ``keep_ratio`` is not
            True.
    """

    def __init__(
        self,
        scale: Tuple[int, int],
        squeeze: float,
        keep_ratio: bool = True,
        **kwargs,
    ) -> None:
        if squeeze <= 0:
            raise ValueError(
                f'got squeeze={squeeze}, expected a number above 0'
            )
        if not keep_ratio:
            raise ValueError(
                'got keep_ratio=False, expected True; to stretch images to a '
                'given size use Resize'
            )
        super().__init__(scale, keep_ratio=False, **kwargs)
        self.squeeze = squeeze

    def _resize_img(self, results: dict) -> None:
        """Resize the image to its true proportions."""
        height, width = results['img'].shape[:2]
        results['scale'] = mmcv.rescale_size(
            (round(width / self.squeeze), height), tuple(results['scale'])
        )
        super()._resize_img(results)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(scale={self.scale}, '
            f'squeeze={self.squeeze})'
        )
