# Copyright (c) mmleuk authors. All rights reserved.
import collections
import json
import math
import os.path as osp

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from mmleuk.evaluation.functional import (
    average_scores,
    best_overlap_f1,
    matched_scores,
)
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema, macro_f1

PBC_LABELS = osp.join(
    osp.dirname(__file__), '../../../data/pbc_fields/json_labels'
)


def test_matched_scores_by_hand():
    truth = np.array([0, 0, 0, 1, -1])
    predicted = np.array([0, 0, 1, 1, 0])
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [1, 0]])
    scores = matched_scores(truth, predicted, probs)
    assert scores['support'] == 4
    assert scores['accuracy'] == pytest.approx(3 / 4)
    assert scores['balanced_accuracy'] == pytest.approx((2 / 3 + 1) / 2)
    # Value 0: 2 found, 1 missed: 4/5. Value 1: 1 found, 1 invented: 2/3.
    assert scores['macro_f1'] == pytest.approx((4 / 5 + 2 / 3) / 2)
    # Value 0 is ranked 0, 0, 1, 0: 1/3 + 1/3 + 1/3 * 3/4. Value 1 is second
    # of its ranking: 1/2.
    assert scores['ap'] == pytest.approx(((2 + 3 / 4) / 3 + 1 / 2) / 2)


def test_a_masked_code_never_counts():
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 3, 60)
    predicted, probs = rng.integers(0, 3, 60), rng.uniform(size=(60, 3))
    known = truth >= 0
    assert 0 < known.sum() < 60
    assert matched_scores(truth, predicted, probs) == matched_scores(
        truth[known], predicted[known], probs[known]
    )


def test_balanced_accuracy_is_scikit_learns():
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 3, (2, 50))
    assert matched_scores(truth, predicted)[
        'balanced_accuracy'
    ] == pytest.approx(balanced_accuracy_score(truth, predicted))


def test_a_value_that_only_predictions_have_gives_no_further_zero():
    truth, predicted = np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2])
    # Value 0: 1 of 2 found: 2/3. Value 2: all. Value 1 is not averaged in.
    assert macro_f1(truth, predicted) == pytest.approx((2 / 3 + 1) / 2)


def test_without_support_all_is_undefined():
    nothing = np.array([-1, -1])
    scores = matched_scores(nothing, np.array([0, 1]), np.full((2, 2), 0.5))
    assert scores.pop('support') == 0
    assert sorted(scores) == [
        'accuracy',
        'ap',
        'balanced_accuracy',
        'macro_f1',
    ]
    assert all(math.isnan(score) for score in scores.values())
    assert math.isnan(macro_f1(nothing, nothing, np.array([0])))
    assert math.isnan(best_overlap_f1(nothing, nothing, 2))


def test_ap_needs_a_negative():
    # Everything is value 0: any ranking is perfect, and so says nothing.
    scores = matched_scores(
        np.zeros(3, int), np.zeros(3, int), np.full((3, 2), 0.5)
    )
    assert scores['accuracy'] == 1
    assert math.isnan(scores['ap'])


def test_end_to_end_charges_missed_and_invented_cells():
    truth = np.array([0, 0, 1, 1, -1])
    predicted = np.array([0, -1, 1, 1, 0])
    # Value 0: 1 right, 1 missed, 2 invented: 2 / (2 + 1 + 2). Value 1: all.
    assert macro_f1(truth, predicted, np.array([0, 0])) == pytest.approx(
        (2 / 5 + 1) / 2
    )
    # Without the invented ones: 2 / (2 + 1).
    assert macro_f1(truth, predicted, []) == pytest.approx((2 / 3 + 1) / 2)


def test_end_to_end_is_macro_f1_when_all_is_found():
    rng = np.random.default_rng(2)
    truth, predicted = rng.integers(0, 3, (2, 50))
    assert macro_f1(truth, predicted) == pytest.approx(
        f1_score(truth, predicted, average='macro')
    )


def test_best_overlap_f1_is_binary_for_two_values():
    truth = np.array([1, 1, 1, 0, -1])
    predicted = np.array([1, 1, 1, 1, 0])
    assert best_overlap_f1(truth, predicted, 2) == pytest.approx(6 / 7)
    assert best_overlap_f1(truth, predicted, 3) == pytest.approx(3 / 7)


def test_best_overlap_f1_is_undefined_where_value_1_never_occurs():
    zeros = np.zeros(3, dtype=int)
    assert math.isnan(best_overlap_f1(zeros, zeros, 2))
    assert best_overlap_f1(zeros, np.array([0, 1, 0]), 2) == 0


def test_average_skips_the_undefined():
    assert average_scores([0.5, float('nan'), 1.0]) == 0.75
    assert math.isnan(average_scores([float('nan')]))


@pytest.fixture(scope='module')
def pbc_codes():
    """Codes and types of the cells of pbc_fields, train and val."""
    if not osp.isdir(PBC_LABELS):
        pytest.skip('data/pbc_fields is not there')
    schema = AttributeSchema(LLD_ATTRIBUTES)
    codes, types = {}, {}
    for split in ('train', 'val'):
        with open(osp.join(PBC_LABELS, f'{split}.json')) as file:
            cells = json.load(file)['annotations']
        cells = [cell for cell in cells if not cell['iscrowd']]
        codes[split] = np.array(
            [
                schema.clean([cell[a.json_key] for a in schema])
                for cell in cells
            ]
        )
        types[split] = np.array([cell['category_id'] for cell in cells])
    return codes, types


def majority(codes):
    return collections.Counter(codes.tolist()).most_common(1)[0][0]


# From the data's README: macro-F1 on val of always saying the majority of
# train, and of saying the majority of the true type.
REFERENCE = {
    'cell_size': (0.394, 0.691),
    'nuclear_chromatin': (0.474, 0.804),
    'nuclear_shape': (0.462, 0.858),
    'cytoplasm': (0.444, 0.938),
    'cytoplasmic_basophilia': (0.387, 0.968),
    'cytoplasmic_vacuoles': (0.474, 0.474),
}


def test_reference_points_of_pbc_fields(pbc_codes):
    codes, types = pbc_codes
    names = AttributeSchema(LLD_ATTRIBUTES).names
    by_majority, by_type = {}, {}
    for column, name in enumerate(names):
        train, val = codes['train'][:, column], codes['val'][:, column]
        by_majority[name] = macro_f1(val, np.full_like(val, majority(train)))
        by_type[name] = macro_f1(
            val,
            np.array(
                [
                    majority(train[types['train'] == kind])
                    for kind in types['val']
                ]
            ),
        )
    assert math.isnan(by_majority.pop('nucleolus'))
    assert math.isnan(by_type.pop('nucleolus'))
    for name, (constant, typed) in REFERENCE.items():
        assert by_majority[name] == pytest.approx(constant, abs=5e-4)
        assert by_type[name] == pytest.approx(typed, abs=5e-4)
    assert average_scores(by_majority.values()) == pytest.approx(
        0.439, abs=5e-4
    )
    assert average_scores(by_type.values()) == pytest.approx(0.789, abs=5e-4)
