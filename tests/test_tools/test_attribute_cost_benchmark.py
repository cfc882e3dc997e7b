# Copyright (c) mmleuk authors. All rights reserved.
import sys
from pathlib import Path

import pytest
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope

ROOT = Path(__file__).parents[2]


@pytest.fixture
def attribute_cost(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'dev' / 'benchmarks'))
    import attribute_cost

    yield attribute_cost
    for name in ('attribute_cost', 'inference'):
        del sys.modules[name]


@pytest.mark.parametrize(
    'name',
    [
        'attribute_rcnn/attr-faster-rcnn_lite0_fpn',
        'attribute_dense/attr-retinanet_lite0_fpn',
    ],
)
def test_more_boxes_cost_more(attribute_cost, name):
    register_all_modules()
    cfg = Config.fromfile(ROOT / f'configs/{name}_pbc-fields.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        ratios = attribute_cost.measure(cfg.model, 128, [1, 32], [1, 32], 2)
    assert set(ratios) == {'inference', 'training'}
    for by_count in ratios.values():
        assert 1 < by_count[1] < by_count[32]


def test_the_shortest_time_counts(attribute_cost, monkeypatch):
    clock = iter([0, 5, 10, 11, 20, 23, 30, 37])
    monkeypatch.setattr(
        attribute_cost.time, 'perf_counter', lambda: next(clock)
    )
    parts = dict(one=lambda: None, other=lambda: None)
    assert attribute_cost.shortest(parts, 2) == dict(one=3, other=1)
