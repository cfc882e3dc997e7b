# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch

from mmleuk.models.mining.type_balance import apply_offsets, balance_types


def world(num_cells, bias, seed=0, frequencies=(0.4, 0.3, 0.3)):
    """Cells of three types, and a teacher whose log-odds are biased.

    Returns:
        tuple: Probabilities, true types, unbiased probabilities.
    """
    generator = torch.Generator().manual_seed(seed)
    frequencies = torch.tensor(frequencies)
    types = torch.multinomial(
        frequencies, num_cells, True, generator=generator
    )
    evidence = torch.randn(num_cells, 3, generator=generator) + 1.5 * (
        torch.nn.functional.one_hot(types, 3)
    )
    # The true posterior of this evidence.
    honest = (1.5 * evidence + frequencies.log()).softmax(dim=1)
    biased = apply_offsets(honest, torch.tensor(bias))
    return biased, types, honest


def loss(probs, types):
    return torch.nn.functional.nll_loss(probs.log(), types)


def test_an_unbiased_teacher_stays():
    probs, types, _ = world(2000, [0.0, 0, 0])
    counts = torch.bincount(types, minlength=3)
    offsets = balance_types(probs, counts, 1.0)
    assert offsets.abs().max() < 0.1


def test_a_bias_is_undone_by_many_labels():
    bias = [1.0, -1, 0]
    probs, types, honest = world(2000, bias)
    offsets = balance_types(probs, torch.bincount(types, minlength=3), 10.0)
    # Offsets tell types apart: one number for all changes nothing.
    found = offsets - offsets.mean()
    assert found.tolist() == pytest.approx([-1, 1, 0], abs=0.1)
    corrected = apply_offsets(probs, offsets)
    assert loss(corrected, types) < loss(probs, types) - 0.05
    assert loss(corrected, types) == pytest.approx(
        float(loss(honest, types)), abs=0.01
    )


def test_few_labels_correct_little_and_in_the_right_direction():
    probs, types, _ = world(500, [2.0, -1, -1])
    full = torch.bincount(types, minlength=3).double()
    sizes = []
    for share in (1.0, 0.1, 0.01, 0.001):
        offsets = balance_types(probs, full * share, 1.0)
        assert offsets[0] == offsets.min()
        sizes.append(float(offsets.abs().max()))
        corrected = apply_offsets(probs, offsets)
        assert loss(corrected, types) < loss(probs, types)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.2


def test_the_luck_of_few_counts_does_little_harm():
    """Twenty labelled cells of an unbiased teacher, drawn at random."""
    harm = []
    for seed in range(20):
        probs, types, _ = world(500, [0.0, 0, 0], seed)
        generator = torch.Generator().manual_seed(seed)
        sample = types[torch.randperm(500, generator=generator)[:20]]
        counts = torch.bincount(sample, minlength=3)
        corrected = apply_offsets(probs, balance_types(probs, counts, 1.0))
        harm.append(float(loss(corrected, types) - loss(probs, types)))
    assert sum(harm) / len(harm) < 0.05


def test_the_presence_probability_stays():
    probs = torch.tensor([[0.5, 0.2, 0], [0.9, 0, 0], [0.0, 0, 0]])
    shifted = apply_offsets(probs, torch.tensor([-2.0, 1, 5]))
    assert shifted.sum(dim=1).tolist() == pytest.approx([0.7, 0.9, 0])
    assert shifted[1].tolist() == pytest.approx([0.9, 0, 0])
    assert shifted[0, 1] > shifted[0, 0]


@pytest.mark.parametrize(
    'probs, counts',
    [
        (torch.zeros(0, 3), [5, 5, 5]),
        (torch.zeros(4, 3), [5, 5, 5]),
        (torch.tensor([[0.5, 0.4, 0]]), [0, 0, 0]),
        (torch.tensor([[0.5, 0.4, 0]]), [3, 0, 0]),
        (torch.tensor([[0.5, 0, 0]]), [3, 2, 1]),
    ],
)
def test_no_evidence_no_offset(probs, counts):
    offsets = balance_types(probs, torch.tensor(counts), 1.0)
    assert offsets.tolist() == [0, 0, 0]


def test_types_without_evidence_stay():
    """The last has no labelled cell; others are still balanced."""
    probs, types, _ = world(1000, [1.0, -1, 0])
    counts = torch.bincount(types, minlength=3)
    counts[2] = 0
    offsets = balance_types(probs, counts, 1.0)
    assert offsets[2] == 0
    assert offsets[0] < offsets[1]


def test_works_where_gradients_are_off():
    probs, types, _ = world(300, [1.0, -1, 0])
    counts = torch.bincount(types, minlength=3)
    with torch.no_grad():
        offsets = balance_types(probs, counts, 1.0)
    assert torch.equal(offsets, balance_types(probs, counts, 1.0))
    assert not offsets.requires_grad
