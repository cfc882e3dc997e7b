# Copyright (c) mmleuk authors. All rights reserved.
"""Where the configs of this package are: for MMEngine, and for our tools.

They are in ``.mim``, where MMEngine looks for those of a package: a wheel has
copies there, a clone has links to its folders ``configs`` and ``tools``.
"""

import argparse
from pathlib import Path

from mmengine.config.utils import MODULE2PACKAGE

CONFIGS = Path(__file__).resolve().parent / '.mim' / 'configs'

# MMEngine reads `mmleuk::CONFIG` only if this public table has the package.
# A module in place of the distribution's name: MMEngine looks for `.mim`
# beside its file, which is right in a clone and an editable install, too.
MODULE2PACKAGE['mmleuk'] = __name__


def config_path(name: str) -> str:
    """Find a config, as the ``type`` of an argument.

    Args:
        name (str): Path of a config, or the name of one of this package, such
            as ``'attribute_rcnn/attr-faster-rcnn_lite0_fpn_synthetic.py'``,
            with or without ``mmleuk::`` in front. A path goes first.

    Returns:
        str: Path of the config.

    Raises:
        argparse.ArgumentTypeError: If there is none.
    """
    if Path(name).is_file():
        return name
    path = CONFIGS / name.removeprefix('mmleuk::')
    if path.suffix == '.py' and path.is_file():
        return str(path)
    raise argparse.ArgumentTypeError(
        f'there is no config {name}, expected the path of a file or the name '
        f'of a config in {CONFIGS}'
    )
