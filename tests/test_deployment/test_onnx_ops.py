# Copyright (c) mmleuk authors. All rights reserved.
import torch
from mmcv.ops import RoIAlign

from mmleuk.deployment.onnx_ops import nms, roi_align


def test_nms_keeps_the_best_and_fills_up():
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [0, 0, 10, 11], [50, 0, 60, 10], [90, 0, 95, 5]]
    )
    scores = torch.tensor([0.5, 0.6, 0.9, 0.0])
    assert nms(boxes, scores, 0.5, 5).tolist() == [2, 1, -1, -1, -1]
    assert nms(boxes, scores, 0.95, 5).tolist() == [2, 1, 0, -1, -1]
    assert nms(boxes, scores, 0.95, 2).tolist() == [2, 1]


def test_nms_of_nothing():
    boxes = torch.tensor([[0.0, 0, 10, 10]])
    assert nms(boxes, torch.tensor([-1.0]), 0.5, 2).tolist() == [-1, -1]
    assert nms(boxes[:0], boxes[:0, 0], 0.5, 2).tolist() == [-1, -1]


def test_roi_align_reads_any_memory_layout():
    feats = torch.rand(1, 3, 12, 16)
    rois = torch.tensor([[0.0, 4, 6, 30, 40], [0, 0, 0, 0, 0]])
    expected = RoIAlign((2, 3), 0.25, 0)(feats, rois)
    strided = feats.contiguous(memory_format=torch.channels_last)
    found = roi_align(strided, rois, 2, 3, 0.25, 0, True)
    torch.testing.assert_close(found, expected)
    # What the levels that are not a RoI's own rely on.
    assert (found[1] == 0).all()


def test_operators_keep_the_rules_of_torch():
    """The sizes that the exporter is told are those that come out."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11]])
    scores = torch.tensor([0.5, 0.6])
    checked = torch.library.opcheck(nms, (boxes, scores, 0.5, 3))
    assert set(checked.values()) == {'SUCCESS'}
    feats, rois = torch.rand(1, 3, 8, 8), torch.tensor([[0.0, 1, 1, 9, 9]])
    checked = torch.library.opcheck(
        roi_align, (feats, rois, 2, 3, 0.25, 2, True)
    )
    assert set(checked.values()) == {'SUCCESS'}
