# Copyright (c) mmleuk authors. All rights reserved.
"""Explanations of drawn cells, of which the truth is known."""

import numpy as np
import pytest

from mmleuk.datasets.synthetic.films import Patient
from mmleuk.datasets.synthetic.morphology import (
    ARTEFACT,
    MORPHOLOGY,
    SCHEMA,
    sample_class,
    sample_codes,
)
from mmleuk.structures import TypeProfile

TYPES = tuple(MORPHOLOGY)
# Share from which on a value is no surprise, as the profile has it.
RARE = 0.05


@pytest.fixture(scope='module')
def profile():
    """What 40 patients of 500 cells tell."""
    rng = np.random.default_rng(0)
    cells = []
    for number in range(1, 41):
        mix = Patient.sample(0, number).mix
        for _ in range(500):
            name = sample_class(rng, mix)
            if name != ARTEFACT:
                cells.append((TYPES.index(name), sample_codes(rng, name)))
    return TypeProfile.count(TYPES, SCHEMA, cells)


def true_share(name, attribute, code):
    return MORPHOLOGY[name].frequencies[attribute][code]


EACH_VALUE = [
    (name, index, code)
    for name in TYPES
    for index, size in enumerate(SCHEMA.sizes)
    for code in range(size)
]


def explain(profile, name, index, code):
    attribute = SCHEMA[index]
    (evidence,) = profile.explain(
        name, {attribute.name: attribute.values[code]}
    )
    return evidence


def test_shares_and_ratios_are_those_the_films_are_drawn_by(profile):
    for name, index, code in EACH_VALUE:
        evidence = explain(profile, name, index, code)
        share = true_share(name, index, code)
        error = 4 * np.sqrt(0.25 / evidence.num_cells)
        assert evidence.share_of_type == pytest.approx(share, abs=error)
        others = np.mean(
            [true_share(t, index, code) for t in TYPES if t != name]
        )
        assert evidence.share_of_others == pytest.approx(others, abs=0.04)
        if min(share, others) > 0.1 and evidence.num_cells > 500:
            assert evidence.likelihood_ratio == pytest.approx(
                share / others, rel=0.25
            )


def test_surprises_are_the_rare_combinations(profile):
    surprises = set()
    for name, index, code in EACH_VALUE:
        evidence = explain(profile, name, index, code)
        share = true_share(name, index, code)
        if evidence.surprising:
            surprises.add((name, SCHEMA[index].name, code))
            assert share < RARE + 0.05
            assert evidence.likelihood_ratio < 1.5
        elif evidence.num_cells >= profile.min_cells:
            assert share > RARE - 0.03
    assert ('lymphocyte', 'nuclear_shape', 1) not in surprises
    assert surprises, 'some combinations of the films are rare'
