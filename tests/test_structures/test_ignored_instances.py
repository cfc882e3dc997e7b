# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes, bbox_overlaps
from mmengine.structures import InstanceData
from torch.utils._python_dispatch import TorchDispatchMode

from mmleuk.structures import (
    UNANNOTATED,
    cover_rectangles,
    covered_share,
    highest_iof,
    highest_probability,
    ignored_instances,
    split_ignored,
    unannotated_area,
)

ROWS = torch.tensor([[0.0, 0, 4, 4], [1, 1, 5, 5], [8, 8, 9, 9]])


@pytest.mark.parametrize('wrap', [HorizontalBoxes, torch.as_tensor])
def test_split(wrap):
    cells, rectangles = split_ignored(
        InstanceData(
            bboxes=wrap(ROWS),
            labels=torch.tensor([3, UNANNOTATED, 0]),
        )
    )
    assert torch.equal(cells, ROWS[[0, 2]])
    assert torch.equal(rectangles, ROWS[[1]])


@pytest.mark.parametrize(
    'empty', [None, InstanceData(), InstanceData(bboxes=torch.zeros((0, 4)))]
)
def test_split_nothing(empty):
    cells, rectangles = split_ignored(empty)
    assert cells.shape == rectangles.shape == (0, 4)


def test_instances_without_labels_are_cells():
    cells, rectangles = split_ignored(InstanceData(bboxes=ROWS))
    assert torch.equal(cells, ROWS)
    assert rectangles.shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2),
        max_size=4,
    ),
    st.lists(
        st.tuples(*[st.integers(-8, 38)] * 2, *[st.integers(1, 40)] * 2),
        max_size=6,
    ),
)
def test_share_by_pixels(regions, boxes):
    regions = [(x, y, x + w, y + h) for x, y, w, h in regions]
    boxes = np.array(
        [(x, y, x + w, y + h) for x, y, w, h in boxes], dtype=np.float32
    ).reshape(-1, 4)
    mask = np.zeros((90, 90), bool)
    mask[10:50, 10:50] = True
    for x1, y1, x2, y2 in regions:
        mask[y1 + 10 : y2 + 10, x1 + 10 : x2 + 10] = False
    expected = [
        mask[y1 + 10 : y2 + 10, x1 + 10 : x2 + 10].mean()
        for x1, y1, x2, y2 in boxes.astype(int)
    ]
    rectangles = cover_rectangles(unannotated_area(regions, (40, 40)))
    shares = covered_share(
        torch.from_numpy(boxes), torch.from_numpy(rectangles)
    )
    assert shares.dtype == torch.float32
    assert np.allclose(shares, expected, atol=1e-5)


def test_share_in_chunks(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand((50, 2), generator=generator) * 80
    size = torch.rand((50, 2), generator=generator) * 40
    boxes = torch.cat([xy, xy + size], 1)
    # A chess board.
    rectangles = torch.tensor(
        [
            [x, y, x + 10, y + 10]
            for x in range(0, 100, 10)
            for y in range(0, 100, 10)
            if (x + y) % 20
        ]
    )
    shares = covered_share(boxes, rectangles)
    monkeypatch.setattr(ignored_instances, '_MAX_PAIRS', 120)
    assert torch.allclose(covered_share(boxes, rectangles), shares, atol=1e-6)
    assert 0.4 < shares.mean() < 0.6


def test_share_of_degenerate_boxes():
    rectangles = torch.tensor([[10.0, 10, 20, 20]])
    boxes = torch.tensor([[15.0, 15, 15, 15], [15, 12, 15, 18], [5, 5, 5, 5]])
    assert covered_share(boxes, rectangles).tolist() == pytest.approx(
        [1, 1, 0], abs=1e-3
    )
    assert covered_share(boxes[:0], rectangles).shape == (0,)
    assert covered_share(boxes, rectangles[:0]).tolist() == [0, 0, 0]


def test_share_in_half_precision_is_computed_in_single():
    boxes = torch.tensor([[0.0, 0, 600, 600]], dtype=torch.bfloat16)
    share = covered_share(boxes, torch.tensor([[0.0, 0, 300, 600]]))
    assert share.dtype == torch.float32
    assert share.item() == pytest.approx(0.5, abs=0.01)


def random_boxes(seed, count):
    """Boxes of which one in six has no area, and some coincide."""
    generator = torch.Generator().manual_seed(seed)
    xy = torch.randint(0, 60, (count, 2), generator=generator)
    size = torch.randint(0, 40, (count, 2), generator=generator)
    size *= torch.rand((count, 1), generator=generator) > 1 / 6
    return torch.cat([xy, xy + size], dim=1) * 0.7


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from([8, 1 << 20]),
)
def test_overlaps_are_those_of_mmdetection(
    seed, num_boxes, num_cells, of_cell, as_on_device, max_pairs
):
    boxes = random_boxes(seed, num_boxes)
    cells = random_boxes(seed + 1, num_cells)
    generator = torch.Generator().manual_seed(seed)
    counts = torch.rand(num_cells, generator=generator) > 0.3
    probs = torch.rand(num_cells, generator=generator) * counts
    iofs = bbox_overlaps(boxes, cells, 'iof')
    if of_cell:
        iofs = bbox_overlaps(cells, boxes, 'iof').T
    # A column of zeros: nothing may overlap.
    nothing = torch.zeros(num_boxes, 1)
    highest = torch.cat([nothing, iofs * counts], dim=1).amax(dim=1)
    own = (bbox_overlaps(boxes, cells) >= 0.3) * probs
    probability = torch.cat([nothing, own], dim=1).amax(dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ignored_instances, '_MAX_PAIRS', max_pairs)
        patch.setattr(
            ignored_instances, '_is_asynchronous', lambda _: as_on_device
        )
        # Bit for bit.
        found = highest_iof(boxes, cells, counts, of_cell)
        assert torch.equal(found, highest)
        found = highest_probability(boxes, cells, probs, 0.3)
        assert torch.equal(found, probability)


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest result."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numel = max(self.numel, result.numel())
        return result


def measure_overlaps(boxes, others, counts):
    return (
        highest_iof(boxes, others, counts),
        covered_share(boxes, others, counts),
        highest_probability(boxes, others, counts * 0.5, 0.3),
    )


def test_memory_is_bounded():
    boxes, others = random_boxes(0, 20_000), random_boxes(1, 300)
    with LargestTensor() as largest:
        measure_overlaps(boxes, others, torch.ones(300, dtype=torch.bool))
    assert largest.numel <= ignored_instances._MAX_PAIRS


def test_devices_are_not_waited_for():
    """Tensors without data fail where the host needs a value."""
    on_device = torch.empty((50, 4), device='meta')
    counts = torch.empty(50, dtype=torch.bool, device='meta')
    for values in measure_overlaps(on_device, on_device, counts):
        assert values.shape == (50,)
    with pytest.raises((RuntimeError, NotImplementedError)):
        on_device[counts]


def test_overlaps_in_half_precision_are_computed_in_single():
    # 600 * 600 is no number of float16.
    boxes = torch.tensor([[0.0, 0, 600, 600]], dtype=torch.float16)
    cells = torch.tensor([[0.0, 0, 300, 600]])
    assert highest_iof(boxes, cells).tolist() == [0.5]
    probs = torch.tensor([0.7])
    assert highest_probability(boxes, cells, probs, 0.5).tolist() == [probs]
