# Copyright (c) mmleuk authors. All rights reserved.
from .environment import check_environment
from .version import __version__

# Here and not in registry.py: MMEngine imports that file while it looks a
# scope up, swallows an ImportError and goes on with a misleading message.
check_environment()

__all__ = ['__version__']
