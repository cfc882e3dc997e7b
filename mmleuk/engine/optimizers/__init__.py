# Copyright (c) mmleuk authors. All rights reserved.
from .finite_optim_wrapper import FiniteOptimWrapper

__all__ = ['FiniteOptimWrapper']
