# Copyright (c) mmleuk authors. All rights reserved.
import copy

from mmengine.config import ConfigDict

from .parts import training_parts


def naive(base: ConfigDict) -> dict:
    """Treat un-annotated area as background.

    Args:
        base (:obj:`ConfigDict`): The base, with `RegionMaxIoUAssigner`.

    Returns:
        dict: ``model``.
    """
    model = copy.deepcopy(base.model)
    for part in training_parts(model):
        part.assigner.bg_coverage_thr = 0
    return model
