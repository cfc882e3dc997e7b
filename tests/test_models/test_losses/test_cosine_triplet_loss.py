# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from mmleuk.models.losses import CosineTripletLoss


def at_angles(*degrees):
    """Unit vectors at these angles, so that cosines are known."""
    radians = torch.tensor(degrees, dtype=torch.float32).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def cos(degrees):
    return torch.tensor(float(degrees)).deg2rad().cos()


def test_takes_the_hardest_positive_and_negative():
    loss = CosineTripletLoss(margin=0.05, loss_weight=0.1)(
        # Lengths do not matter.
        at_angles(0) * 3,
        torch.tensor([1]),
        at_angles(10, 60, 40, 90) * 2,
        torch.tensor([1, 1, 0, 2]),
    )
    expected = 0.1 * (cos(40) - cos(60) + 0.05)
    torch.testing.assert_close(loss, expected)


def test_is_zero_where_the_positive_wins_by_the_margin():
    arguments = (torch.tensor([1]), at_angles(10, 90), torch.tensor([1, 0]))
    assert CosineTripletLoss(margin=0.05)(at_angles(0), *arguments) == 0
    loss = CosineTripletLoss(margin=1.0)(at_angles(0), *arguments)
    torch.testing.assert_close(loss, 1 - cos(10))


def test_averages_over_anchors_with_both():
    anchors = at_angles(0, 0, 0)
    cells, labels = at_angles(50, 20, 30), torch.tensor([0, 1, 1])
    loss = CosineTripletLoss(margin=0)
    # The last anchor has no cell of its class.
    both = loss(anchors, torch.tensor([0, 1, 7]), cells, labels)
    first = loss(anchors[:1], torch.tensor([0]), cells, labels)
    second = loss(anchors[:1], torch.tensor([1]), cells, labels)
    assert first > 0
    assert second == 0
    torch.testing.assert_close(both, first / 2)


@pytest.mark.parametrize(
    'anchor_labels, cell_labels',
    [
        ([1, 1], [1, 1, 1]),  # nothing of another class
        ([0, 2], [1, 1, 1]),  # nothing of the class
        ([], [1, 1, 0]),
        ([0, 1], []),
        ([], []),
    ],
)
def test_without_a_triplet_it_is_a_zero_with_gradients(
    anchor_labels, cell_labels
):
    anchors = torch.randn(len(anchor_labels), 4, requires_grad=True)
    cells = torch.randn(len(cell_labels), 4, requires_grad=True)
    loss = CosineTripletLoss()(
        anchors,
        torch.tensor(anchor_labels, dtype=torch.int64),
        cells,
        torch.tensor(cell_labels, dtype=torch.int64),
    )
    assert loss == 0
    loss.backward()
    for features in (anchors, cells):
        assert features.grad.eq(0).all()


def test_pulls_an_anchor_to_its_class():
    anchor = at_angles(45).requires_grad_()
    cells, labels = at_angles(0, 90), torch.tensor([0, 1])
    CosineTripletLoss(margin=0.5)(
        anchor, torch.tensor([0]), cells, labels
    ).backward()
    moved = F.cosine_similarity(anchor - 0.1 * anchor.grad, cells)
    assert moved[0] > cos(45) > moved[1]


def test_half_precision_is_taken_and_returned_in_single():
    anchors, cells = at_angles(0).half(), at_angles(80, 10).half()
    loss = CosineTripletLoss()(
        anchors, torch.tensor([0]), cells, torch.tensor([0, 1])
    )
    assert loss.dtype == torch.float32
    assert loss.isfinite()


def test_features_of_zeros_give_finite_gradients():
    anchors = torch.zeros(1, 4, requires_grad=True)
    cells = torch.zeros(2, 4, requires_grad=True)
    CosineTripletLoss()(
        anchors, torch.tensor([0]), cells, torch.tensor([0, 1])
    ).backward()
    assert anchors.grad.isfinite().all()
    assert cells.grad.isfinite().all()
