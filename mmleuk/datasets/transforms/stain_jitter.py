# Copyright (c) mmleuk authors. All rights reserved.
import random
from typing import Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmleuk.registry import TRANSFORMS

# Optical density of haematoxylin, eosin and DAB in red, green and blue:
# Ruifrok and Johnston, 2001. Blood films are stained with azure and eosin.
# The first two are near them, and the third takes what is left.
_STAINS = np.array(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]]
)


@TRANSFORMS.register_module()
class StainJitter(BaseTransform):
    """Change the amount of each stain at random.

    An image is split into the optical density of three stains. Each is
    multiplied by a random factor and shifted by a random amount (Tellez et
    al., 2018), for films of other laboratories, stains and white balances.

    Required Keys:

    - img (uint8, BGR)

    Modified Keys:

    - img

    Args:
        factor (float): Factors are drawn from 1 - ``factor`` to
            1 + ``factor``, in [0, 1).
        shift (float): Shifts of the optical density (natural logarithm) are
            drawn from ``-shift`` to ``shift``, at least 0.
        prob (float): Probability.
    """

    def __init__(
        self, factor: float = 0.2, shift: float = 0.05, prob: float = 0.8
    ) -> None:
        if not 0 <= factor < 1:
            raise ValueError(f'got factor={factor}, expected it in [0, 1)')
        if shift < 0:
            raise ValueError(f'got shift={shift}, expected 0 or more')
        if not 0 <= prob <= 1:
            raise ValueError(f'got prob={prob}, expected it in [0, 1]')
        self.factor = factor
        self.shift = shift
        self.prob = prob
        rows = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)
        self._stains = rows[:, ::-1]  # in BGR
        self._unmix = np.linalg.inv(self._stains)
        # 1 is added, since black has no finite density.
        self._density = -np.log((np.arange(256) + 1) / 256)

    @cache_randomness
    def _draw(self) -> Tuple[bool, np.ndarray, np.ndarray]:
        return (
            random.random() < self.prob,
            1 + self.factor * self._draw_three(),
            self.shift * self._draw_three(),
        )

    @staticmethod
    def _draw_three() -> np.ndarray:
        """Draw a number in [-1, 1] for each stain."""
        return np.array([random.uniform(-1, 1) for _ in range(3)])

    def transform(self, results: dict) -> dict:
        """Jitter one image with the given probability."""
        is_drawn, factors, shifts = self._draw()
        if not is_drawn:
            return results
        image = results['img']
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ValueError(
                f'got an image of {image.dtype} and shape {image.shape}, '
                'expected uint8 and (h, w, 3): put StainJitter behind '
                'LoadImageFromFile'
            )
        mix = self._unmix * factors @ self._stains
        density = self._density.astype(np.float32)[image]
        density = density @ mix.astype(np.float32)
        density += (shifts @ self._stains).astype(np.float32)
        light = 256 * np.exp(-density) - 1
        results['img'] = np.clip(np.rint(light), 0, 255).astype(np.uint8)
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(factor={self.factor}, '
            f'shift={self.shift}, prob={self.prob})'
        )
