# Copyright (c) mmleuk authors. All rights reserved.
import random
from typing import Any, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmleuk.registry import TRANSFORMS

# Largest radius of the round view, as a share of half the shorter side. The
# corners of a square field are at 1.41.
MAX_RADIUS = 1.3


@TRANSFORMS.register_module()
class CameraJitter(BaseTransform):
    """Show an image at random as another camera and ocular would.

    In this order: blur, as of poor focus; darker edges (vignette); a round
    view on black, as through an ocular; and compression to JPEG. Boxes stay:
    the round view is as wide as all boxes need, those of ignored cells, too.

    Required Keys:

    - img (uint8)
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)

    Modified Keys:

    - img

    Args:
        blur (float): Largest standard deviation of the blur, in pixels.
        vignette (float): Largest share of the light that is lost in the
            corners, in [0, 1].
        min_radius (float): Smallest radius of the round view, as a share of
            half the shorter side; the largest is 1.3.
        jpeg_quality (tuple[int, int]): Lowest and highest quality, in
            [1, 100].
        prob (float): Probability of blur, vignette and compression, each for
            itself.
        round_prob (float): Probability of the round view.
    """

    def __init__(
        self,
        blur: float = 1.5,
        vignette: float = 0.5,
        min_radius: float = 0.9,
        jpeg_quality: Tuple[int, int] = (40, 95),
        prob: float = 0.3,
        round_prob: float = 0.15,
    ) -> None:
        if blur < 0 or not 0 < min_radius <= MAX_RADIUS:
            raise ValueError(
                f'got blur={blur} and min_radius={min_radius}, expected 0 or '
                f'more, and above 0 up to {MAX_RADIUS}'
            )
        for name, share in (
            ('vignette', vignette),
            ('prob', prob),
            ('round_prob', round_prob),
        ):
            if not 0 <= share <= 1:
                raise ValueError(f'got {name}={share}, expected it in [0, 1]')
        low, high = jpeg_quality
        if not 1 <= low <= high <= 100:
            raise ValueError(
                f'got jpeg_quality={jpeg_quality}, expected the lowest and '
                'the highest, in [1, 100]'
            )
        self.blur = blur
        self.vignette = vignette
        self.min_radius = min_radius
        self.jpeg_quality = (low, high)
        self.prob = prob
        self.round_prob = round_prob

    @cache_randomness
    def _draw(self) -> dict:
        """Draw all settings; None where a step is left out."""

        def maybe(value: Any, prob: float) -> Any:
            return value if random.random() < prob else None

        return dict(
            sigma=maybe(random.uniform(0, self.blur), self.prob),
            loss=maybe(random.uniform(0, self.vignette), self.prob),
            radius=maybe(
                random.uniform(self.min_radius, MAX_RADIUS), self.round_prob
            ),
            quality=maybe(random.randint(*self.jpeg_quality), self.prob),
        )

    def transform(self, results: dict) -> dict:
        """Jitter one image."""
        image, drawn = results['img'], self._draw()
        # OpenCV takes 0 for "choose a sigma".
        if drawn['sigma']:
            image = cv2.GaussianBlur(image, (0, 0), drawn['sigma'])
        height, width = image.shape[:2]
        x = np.arange(width, dtype=np.float32) + 0.5 - width / 2
        y = np.arange(height, dtype=np.float32) + 0.5 - height / 2
        square = x**2 + y[:, None] ** 2
        if drawn['loss'] is not None:
            corner = (width**2 + height**2) / 4
            light = 1 - drawn['loss'] * square / corner
            image = np.rint(image * light[..., None]).astype(np.uint8)
        if drawn['radius'] is not None:
            radius = drawn['radius'] * min(width, height) / 2
            radius = max(radius, self._reach(results, width, height))
            image = image * (square <= radius**2)[..., None]
        if drawn['quality'] is not None:
            option = [cv2.IMWRITE_JPEG_QUALITY, int(drawn['quality'])]
            _, data = cv2.imencode('.jpg', image, option)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        results['img'] = image
        return results

    @staticmethod
    def _reach(results: dict, width: int, height: int) -> float:
        """Distance of the farthest corner of a box from the centre."""
        boxes = results.get('gt_bboxes')
        if boxes is None or not len(boxes):
            return 0.0
        corners = getattr(boxes, 'tensor', boxes).reshape(-1, 2)
        corners = np.asarray(corners) - [width / 2, height / 2]
        return float(np.hypot(*corners.T).max())

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(blur={self.blur}, '
            f'vignette={self.vignette}, min_radius={self.min_radius}, '
            f'jpeg_quality={self.jpeg_quality}, prob={self.prob}, '
            f'round_prob={self.round_prob})'
        )
