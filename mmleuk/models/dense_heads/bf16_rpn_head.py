# Copyright (c) mmleuk authors. All rights reserved.
from typing import Tuple

from mmdet.models.dense_heads import RPNHead
from torch import Tensor

from mmleuk.registry import MODELS


@MODELS.register_module()
class BF16RPNHead(RPNHead):
    """:class:`RPNHead` that also works under bfloat16 autocast.

    Its scores go into MMCV's NMS, which has no bfloat16 kernel, so they are
    returned as float32.
    """

    knows_regions = True

    def forward_single(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """Score and regress the anchors of a level, in float32."""
        cls_score, bbox_pred = super().forward_single(x)
        return cls_score.float(), bbox_pred.float()
