# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch

from mmleuk.models.necks import SimpleFPN


@pytest.mark.parametrize('grid', [(4, 6), (5, 7)])
def test_levels_cover_the_map(grid):
    neck = SimpleFPN(16, 8, num_outs=5)
    levels = neck([torch.randn(2, 16, *grid)])
    assert [tuple(level.shape) for level in levels] == [
        (2, 8, *(-int(-n * scale // 1) for n in grid))
        for scale in (4, 2, 1, 0.5, 0.25)
    ]
    assert all(level.is_contiguous() for level in levels)


def test_places_of_the_levels_agree():
    """What changes in one corner of the map changes there in each level."""
    neck = SimpleFPN(16, 8, num_outs=4).eval()
    x = torch.randn(1, 16, 16, 16)
    changed = x.clone()
    changed[..., 12:, :4] += 1
    for a, b in zip(neck([x]), neck([changed])):
        difference = (a - b).abs().amax(dim=(0, 1))
        size = len(difference)
        assert difference[size * 3 // 4 :, : size // 4].min() > 0
        assert not difference[: size // 2, size // 2 :].any()


def test_every_place_is_normalised():
    for level in SimpleFPN(16, 8)([torch.randn(1, 16, 4, 4) * 50]):
        torch.testing.assert_close(
            level.mean(1), torch.zeros_like(level.mean(1)), rtol=0, atol=1e-5
        )


def test_gradients_reach_all_weights_in_bfloat16():
    neck = SimpleFPN(16, 8)
    with torch.autocast('cpu', torch.bfloat16):
        levels = neck([torch.randn(1, 16, 4, 4, requires_grad=True)])
    sum(level.float().square().sum() for level in levels).backward()
    assert all(param.grad.isfinite().all() for param in neck.parameters())


def test_too_few_levels_raise():
    with pytest.raises(ValueError, match='num_outs is 3'):
        SimpleFPN(16, num_outs=3)
