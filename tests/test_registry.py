# Copyright (c) mmleuk authors. All rights reserved.
"""Configs reach our modules by scope alone, in a fresh interpreter."""

import subprocess
import sys
from importlib import import_module

import pytest
from mmdet import registry as mmdet_registry
from mmengine.registry import Registry

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
        ('MODELS', 'RegionYOLOXHead'),
        ('TASK_UTILS', 'RegionAssigner'),
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


def test_every_registry_of_mmdetection_has_a_child():
    import_module('mmleuk.registry')
    missing = [
        name
        for name, registry in vars(mmdet_registry).items()
        if isinstance(registry, Registry)
        and registry.scope == 'mmdet'
        and 'mmleuk' not in registry.children
    ]
    assert missing == []


def test_our_scope_has_what_mmdetection_has():
    # As MMEngine builds what stands in a base `mmleuk::...`.
    code = (
        'from mmengine.registry import LOOPS\n'
        "with LOOPS.switch_scope_and_registry('mmleuk') as registry:\n"
        "    assert registry.get('TeacherStudentValLoop') is not None\n"
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
