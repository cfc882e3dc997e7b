# Copyright (c) mmleuk authors. All rights reserved.
from .checkpoint import allow_own_checkpoints

__all__ = ['allow_own_checkpoints']
