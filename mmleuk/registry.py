# Copyright (c) mmleuk authors. All rights reserved.
"""Child registries of MMDetection's, in the scope ``mmleuk``.

A config names our modules as ``type='mmleuk.X'`` and needs no
``custom_imports``: the first look-up in the scope imports ``locations``.

Keep this file trivial. MMEngine imports it while it looks a scope up and
swallows an ``ImportError`` raised here, which then comes back as a misleading
message on the scope.
"""

from mmdet import registry as mmdet_registry
from mmdet.registry import DATA_SAMPLERS as MMDET_DATA_SAMPLERS
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmdet.registry import HOOKS as MMDET_HOOKS
from mmdet.registry import METRICS as MMDET_METRICS
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.registry import OPTIM_WRAPPERS as MMDET_OPTIM_WRAPPERS
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS
from mmdet.registry import VISUALIZERS as MMDET_VISUALIZERS
from mmengine.registry import INFERENCERS as MMENGINE_INFERENCERS
from mmengine.registry import Registry

# They tell MMEngine where `mmleuk::CONFIG` is, and what to say of packages
# that are missing.
from . import config_files, optional_registries  # noqa: F401

DATASETS = Registry(
    'dataset',
    parent=MMDET_DATASETS,
    scope='mmleuk',
    locations=['mmleuk.datasets'],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMDET_DATA_SAMPLERS,
    scope='mmleuk',
    locations=['mmleuk.datasets'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMDET_TRANSFORMS,
    scope='mmleuk',
    locations=['mmleuk.datasets.transforms'],
)
MODELS = Registry(
    'model', parent=MMDET_MODELS, scope='mmleuk', locations=['mmleuk.models']
)
TASK_UTILS = Registry(
    'task util',
    parent=MMDET_TASK_UTILS,
    scope='mmleuk',
    locations=['mmleuk.models'],
)
METRICS = Registry(
    'metric',
    parent=MMDET_METRICS,
    scope='mmleuk',
    locations=['mmleuk.evaluation'],
)
HOOKS = Registry(
    'hook',
    parent=MMDET_HOOKS,
    scope='mmleuk',
    locations=['mmleuk.engine.hooks'],
)
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMDET_OPTIM_WRAPPERS,
    scope='mmleuk',
    locations=['mmleuk.engine.optimizers'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=MMDET_VISUALIZERS,
    scope='mmleuk',
    locations=['mmleuk.visualization'],
)
INFERENCERS = Registry(
    'inferencer',
    parent=MMENGINE_INFERENCERS,
    scope='mmleuk',
    locations=['mmleuk.apis'],
)

# What a config takes from `_base_ = 'mmleuk::...'` is looked up in our scope.
# Where we had no registry, MMEngine would look in its own and find nothing of
# MMDetection, so all of MMDetection's have a child. MMEngine does not import
# the locations of a parent.
for registry in vars(mmdet_registry).copy().values():
    if (
        isinstance(registry, Registry)
        and registry.scope == 'mmdet'
        and 'mmleuk' not in registry.children
    ):
        Registry(
            registry.name,
            parent=registry,
            scope='mmleuk',
            locations=[
                'mmdet.engine',
                'mmdet.evaluation',
                'mmdet.models',
                'mmdet.visualization',
            ],
        )
