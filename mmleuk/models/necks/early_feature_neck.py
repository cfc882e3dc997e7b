# Copyright (c) mmleuk authors. All rights reserved.
from typing import Sequence, Tuple

from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor

from mmleuk.registry import MODELS


class FeaturePyramid(tuple):
    """The outputs of a neck, with backbone features kept beside them.

    It is the plain tuple of the neck's levels wherever MMDetection handles
    it. A two-stage detector hands a RoI head what its neck returns and nothing
    else, so that this is the one way on which backbone features reach a RoI
    head without a detector class of its own.

    Attributes:
        early (tuple[Tensor]): Backbone features, finest first, each of shape
            (N, C, H, W).
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
    """Wrap a neck and keep the first backbone features beside its outputs.

    Args:
        neck (dict): Config of the neck.
        num_early (int): Number of backbone features to keep, from the finest.
        init_cfg (dict | list[dict], optional): Initialisation config.
    """

    def __init__(
        self,
        neck: ConfigType,
        num_early: int = 2,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_early < 1:
            raise ValueError(
                f'got num_early={num_early}, expected at least 1; use the '
                'inner neck itself where no early feature is wanted'
            )
        self.neck = MODELS.build(neck)
        self.num_early = num_early

    def forward(self, inputs: Tuple[Tensor]) -> FeaturePyramid:
        """Run the wrapped neck.

        Args:
            inputs (tuple[Tensor]): Backbone features, finest first, each of
                shape (N, C, H, W).

        Returns:
            FeaturePyramid: The levels of the neck, with ``early`` features.
        """
        return FeaturePyramid(self.neck(inputs), inputs[: self.num_early])
