# Copyright (c) mmleuk authors. All rights reserved.
from .efficientnet_lite import EfficientNetLite
from .packaged_checkpoints import PACKAGED_CHECKPOINTS, load_from_package
from .plain_vit import PlainViT
from .same_pad_conv2d import SamePadConv2d

__all__ = [
    'EfficientNetLite',
    'PACKAGED_CHECKPOINTS',
    'PlainViT',
    'SamePadConv2d',
    'load_from_package',
]
