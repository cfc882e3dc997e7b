# Copyright (c) mmleuk authors. All rights reserved.
from .plotting import load_pyplot

__all__ = ['load_pyplot']
