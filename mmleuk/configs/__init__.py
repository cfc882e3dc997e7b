# Copyright (c) mmleuk authors. All rights reserved.
"""Methods that learn from sparse labels, as functions over a base config.

Each takes the config that it changes and returns the keys that differ, for
a config file to assign::

    _base_ = './ignore-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'

    from mmleuk.configs import mosaic

    train_pipeline, train_dataloader = mosaic(_base_)

``_base_ = ...`` has to come before the import: MMEngine reads a config that
starts with an import in its lazy style. The base is not modified. A child
overrides values of the result; for another argument of the method it calls
the function again, on the plain base.

``mmdet_detector`` and ``mmdet_augmentation`` take a detector from a config of
MMDetection, to compare with. ``attributes`` adds attribute branches to it,
``with_regions`` lets it learn from annotated regions, and ``mmdet_model``
takes the rest of a model whose backbone and neck are others.
``without_attributes`` takes the branches away again, and ``cascade`` makes a
Cascade R-CNN of a Faster R-CNN.
"""

from .attributes import attributes, mmdet_model
from .cascade import cascade
from .crop import crop
from .mined import mined
from .mmdet_detector import mmdet_augmentation, mmdet_detector
from .mosaic import mosaic
from .naive import naive
from .parts import resized
from .self_mined import self_mined
from .sla_det import sla_det
from .soft_teacher import soft_teacher
from .with_regions import with_regions
from .without_attributes import without_attributes

__all__ = [
    'attributes',
    'cascade',
    'crop',
    'mined',
    'mmdet_augmentation',
    'mmdet_detector',
    'mmdet_model',
    'mosaic',
    'naive',
    'resized',
    'self_mined',
    'sla_det',
    'soft_teacher',
    'with_regions',
    'without_attributes',
]
