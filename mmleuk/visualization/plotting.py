# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any

from mmleuk.optional_packages import import_optional


def load_pyplot() -> Any:
    """Import ``matplotlib.pyplot``, for drawing into files.

    Text in SVG files stays text.

    Raises:
        ImportError: If matplotlib, an optional package, is not installed.
    """
    import_optional('matplotlib', 'drawing plots', 'plot').use('Agg')
    from matplotlib import pyplot

    pyplot.rcParams['svg.fonttype'] = 'none'
    return pyplot
