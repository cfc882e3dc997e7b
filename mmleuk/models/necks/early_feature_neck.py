# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Sequence, Tuple

from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor

from mmleuk.registry import MODELS


class FeaturePyramid(tuple):
    """Outputs of a neck with backbone features as an attribute.

    To MMDetection it is the plain tuple of the levels. A two-stage detector
    passes only the outputs of its neck to the RoI head, so this takes backbone
    features there without a detector class of our own.

    Attributes:
        early (tuple[Tensor]): Backbone features, finest first, each (N, C, H,
            W).
    """

    early: Tuple[Tensor, ...]

    def __new__(  # noqa: D102
        cls, levels: Sequence[Tensor], early: Sequence[Tensor]
    ) -> 'FeaturePyramid':
        pyramid = super().__new__(cls, levels)
        pyramid.early = tuple(early)
        return pyramid


@MODELS.register_module()
class EarlyFeatureNeck(BaseModule):
    """Wrap a neck and keep the finest backbone features with its outputs.

    A checkpoint of a detector with the plain neck is loaded, too.

    Args:
        neck (dict): Config of the neck.
        num_early (int): Number of backbone features to keep.
        start_level (int): First backbone feature for the wrapped neck, for
            necks that, unlike FPN, can't leave fine ones out themselves.
        init_cfg (dict | list[dict], optional): Initialisation config.
    """

    def __init__(
        self,
        neck: ConfigType,
        num_early: int = 2,
        start_level: int = 0,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_early < 1:
            raise ValueError(
                f'got num_early={num_early}, expected at least 1; without '
                'early features, use the inner neck itself'
            )
        self.neck = MODELS.build(neck)
        self.num_early = num_early
        self.start_level = start_level

    def _load_from_state_dict(
        self, state_dict: Dict[str, Tensor], prefix: str, *args, **kwargs
    ) -> None:
        """Rename the weights of a plain neck to those of the wrapped one."""
        names = [key for key in state_dict if key.startswith(prefix)]
        if not any(key.startswith(f'{prefix}neck.') for key in names):
            for key in names:
                inner = f'{prefix}neck.{key[len(prefix) :]}'
                state_dict[inner] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, inputs: Tuple[Tensor]) -> FeaturePyramid:
        """Run the wrapped neck.

        Args:
            inputs (tuple[Tensor]): Backbone features, finest first, each (N,
                C, H, W).

        Returns:
            FeaturePyramid: The levels of the neck, with ``early`` features.
        """
        levels = self.neck(inputs[self.start_level :])
        return FeaturePyramid(levels, inputs[: self.num_early])
