# Copyright (c) mmleuk authors. All rights reserved.
"""Two processes learn and score what one does with the whole batch."""

import socket

import pytest
import torch
import torch.multiprocessing as mp
from two_processes import evaluate, gradients, work


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize('num_cells', [(3, 2), (3, 0)])
def test_the_same_step_and_scores(tmp_path, num_cells):
    """Also where one process has an image without labels."""
    file = tmp_path / 'result.pth'
    mp.spawn(work, (free_port(), num_cells, str(file)), nprocs=2)
    result = torch.load(file, weights_only=False)

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
