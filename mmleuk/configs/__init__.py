# Copyright (c) mmleuk authors. All rights reserved.
"""Methods that learn from sparse labels, as functions over a base config.

Each function takes the config that it is a variant of and returns the keys
that change, for the config file to assign::

    _base_ = './ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'

    from mmleuk.configs import mosaic

    train_pipeline, train_dataloader = mosaic(_base_)

``_base_ = ...`` has to come before the import: MMEngine takes a config that
starts with an import for one in its lazy style. Any two-stage base will do,
and for `naive`, `mosaic`, `crop` and `mined` a one-stage base as well. The
base is not modified. A child of such a config overrides values of the result;
to change the argument of a method, call the function on the plain base.
"""

from .crop import crop
from .mined import mined
from .mosaic import mosaic
from .naive import naive
from .parts import resized
from .self_mined import self_mined
from .self_training import self_training
from .sla_det import sla_det
from .soft_teacher import soft_teacher

__all__ = [
    'crop',
    'mined',
    'mosaic',
    'naive',
    'resized',
    'self_mined',
    'self_training',
    'sla_det',
    'soft_teacher',
]
