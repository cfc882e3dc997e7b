# Copyright (c) mmleuk authors. All rights reserved.
"""Configs reach our modules by scope alone, in a fresh interpreter."""

import subprocess
import sys

import pytest

TEMPLATE = """
from mmengine.registry import init_default_scope
from mmdet.registry import {registry}
init_default_scope('mmdet')
assert {registry}.get('mmleuk.{name}').__name__ == '{name}'
"""


@pytest.mark.parametrize(
    ('registry', 'name'),
    [
        ('DATASETS', 'LLDDataset'),
        ('DATA_SAMPLERS', 'EpochMultiSourceSampler'),
        ('TRANSFORMS', 'PackLLDInputs'),
        ('MODELS', 'AttributeRoIHead'),
        ('MODELS', 'CascadeAttributeRoIHead'),
        ('MODELS', 'AttributeHead'),
        ('MODELS', 'EfficientNetLite'),
        ('TASK_UTILS', 'RegionMaxIoUAssigner'),
        ('METRICS', 'LLDMetric'),
        ('HOOKS', 'LLDVisualizationHook'),
        ('OPTIM_WRAPPERS', 'FiniteOptimWrapper'),
        ('VISUALIZERS', 'LLDLocalVisualizer'),
    ],
)
def test_scope_is_enough(registry, name):
    code = TEMPLATE.format(registry=registry, name=name)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
