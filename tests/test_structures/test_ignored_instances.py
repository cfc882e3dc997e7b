# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmleuk.structures import (
    UNANNOTATED,
    cover_rectangles,
    covered_share,
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
