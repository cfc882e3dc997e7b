# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any


def load_pyplot() -> Any:
    """Import ``matplotlib.pyplot``, for drawing into files.

    Text in SVG files stays text.

    Raises:
        ImportError: If matplotlib, an optional package, is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'plots are drawn by matplotlib, which is not installed: '
            "pip install 'mmleuk[plot]' (or -e '.[plot]' in a clone)"
        ) from error
    matplotlib.use('Agg')
    from matplotlib import pyplot

    pyplot.rcParams['svg.fonttype'] = 'none'
    return pyplot
