# Copyright (c) mmleuk authors. All rights reserved.
from .checkpoint_loaders import load_checkpoints_safely

__all__ = ['load_checkpoints_safely']
