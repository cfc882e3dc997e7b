# Copyright (c) mmleuk authors. All rights reserved.
from .efficientnet_lite import EfficientNetLite
from .packaged_checkpoints import PACKAGED_CHECKPOINTS, load_from_package
from .same_pad_conv2d import SamePadConv2d

__all__ = [
    'EfficientNetLite',
    'PACKAGED_CHECKPOINTS',
    'SamePadConv2d',
    'load_from_package',
]
