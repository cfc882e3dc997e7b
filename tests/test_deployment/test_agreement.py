# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmengine.structures import InstanceData

from mmleuk.deployment import Agreement


def cells(scores=(0.9, 0.6), shift=0.0, labels=(0, 1), probs=0.5):
    boxes = torch.tensor([[0.0, 0, 100, 100], [200, 0, 300, 100]])
    count = len(scores)
    return InstanceData(
        bboxes=boxes[:count] + shift,
        scores=torch.tensor(scores),
        labels=torch.tensor(labels[:count]),
        attribute_probs=torch.full((count, 3), probs),
    )


def test_largest_differences_are_kept():
    agreement = Agreement(score_thr=0.05)
    agreement.add(cells(), cells(shift=0.25, probs=0.75))
    agreement.add(cells(), cells(scores=(0.9, 0.7)))
    assert agreement.num_images == 2
    assert agreement.num_cells == 4
    assert agreement.boxes == 0.25
    assert agreement.scores == pytest.approx(0.1)
    assert agreement.attribute_probs == 0.25
    assert len(agreement.violations(1, 1)) == 0
    assert [v.split()[0] for v in agreement.violations(0.1, 0.2)] == [
        'boxes',
        'attribute_probs',
    ]


def test_order_does_not_matter():
    agreement = Agreement()
    agreement.add(cells(), cells()[torch.tensor([1, 0])])
    assert (agreement.num_cells, agreement.boxes) == (2, 0)


@pytest.mark.parametrize('swap', [False, True])
def test_a_cell_of_one_alone_differs_by_its_score(swap):
    agreement = Agreement(score_thr=0.05)
    pair = [cells(), cells(scores=(0.9,))]
    agreement.add(*(pair[::-1] if swap else pair))
    assert (agreement.num_cells, agreement.num_unpaired) == (1, 1)
    assert agreement.alone == pytest.approx(0.55)
    (violation,) = agreement.violations(1, 0.5)
    assert violation == (
        '1 cells were found by one alone, of scores up to 0.6'
    )


def test_a_cell_right_at_the_threshold_may_be_missing():
    agreement = Agreement(score_thr=0.05)
    agreement.add(cells(scores=(0.9, 0.0500001)), cells(scores=(0.9,)))
    assert not agreement.violations(0.01, 1e-4)


def test_other_types_are_other_cells():
    agreement = Agreement()
    agreement.add(cells(), cells(labels=(0, 2)))
    assert (agreement.num_cells, agreement.num_unpaired) == (1, 2)
    assert agreement.violations(1, 0.5)


def test_nan_is_no_agreement():
    agreement = Agreement()
    agreement.add(cells(), cells(probs=float('nan')))
    assert agreement.violations(1, 1)


def test_images_without_cells():
    agreement = Agreement()
    agreement.add(cells()[:0], cells()[:0])
    assert (agreement.num_images, agreement.num_cells) == (1, 0)
    assert not agreement.violations(0, 0)
