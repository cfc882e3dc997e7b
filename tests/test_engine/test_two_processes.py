# Copyright (c) mmleuk authors. All rights reserved.
"""Two processes learn and score what one does with the whole batch."""

import pytest
from run_processes import run_processes
from two_processes import evaluate, gradients, work

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('num_cells', [(3, 2), (3, 0)])
def test_the_same_step_and_scores(tmp_path, num_cells):
    """Also where one process has an image without labels."""
    result, _ = run_processes(work, 2, tmp_path, num_cells)

    expected = gradients(num_cells)
    assert result['gradients'].keys() == expected.keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp(min=1e-3)
        error = (result['gradients'][name] - gradient).abs().max() / scale
        # In single precision, and sums in another order.
        assert error < 2e-3, name
    assert any('attribute' in name for name in expected)

    scores = evaluate([*num_cells, 3])
    assert result['scores'].keys() == scores.keys()
    for key, value in scores.items():
        assert result['scores'][key] == pytest.approx(value, nan_ok=True), key
