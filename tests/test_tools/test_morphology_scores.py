# Copyright (c) mmleuk authors. All rights reserved.
"""Scores beside the type, on cells that are made up."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from mmleuk.evaluation.functional import match_results
from mmleuk.structures import AttributeSchema, TypeProfile, macro_f1

FOLDER = Path(__file__).parents[2] / 'tools' / 'dev' / 'benchmarks'
CLASSES = ('myelocyte', 'metamyelocyte', 'neutrophil')
SCHEMA = AttributeSchema(
    [
        dict(name='shape', values=('round', 'band', 'lobed')),
        dict(name='vacuoles', values=('no', 'yes')),
    ]
)
# The majority: round, round, lobed; no vacuoles, none, vacuoles.
PROFILE = TypeProfile(
    CLASSES,
    SCHEMA,
    dict(
        shape=[[9, 1, 0], [5, 4, 0], [0, 3, 7]],
        vacuoles=[[9, 1], [9, 1], [2, 8]],
    ),
)
# True and predicted type, true and predicted codes; None: not detected.
CELLS = (
    [(0, 0, (0, 0), (0, 0))] * 10
    + [(0, 1, (1, 0), (0, 0))] * 10
    + [(1, 2, (1, -1), (1, 1))] * 5
    + [(2, 2, (2, 1), (2, 1))] * 12
    + [(2, 2, (1, 0), (2, 0))] * 11
    + [(0, None, (0, 0), None)] * 2
)


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module('morphology_scores')


@pytest.fixture
def cells(benchmark):
    results = []
    for index, (label, found, truth, codes) in enumerate(CELLS):
        box = [10.0, 10, 60, 60]
        n = int(found is not None)
        probs = np.zeros((n, SCHEMA.num_values))
        if n:
            probs[0, [codes[0], 3 + codes[1]]] = 1
        results.append(
            dict(
                name=f'{index:03d}.png',
                image_shape=(100, 100),
                instances=[
                    dict(
                        bbox=box,
                        bbox_label=label,
                        ignore_flag=0,
                        attributes=truth,
                    )
                ],
                annotated_regions=None,
                bboxes=np.array([box] * n).reshape(n, 4),
                scores=np.full(n, 0.9),
                labels=np.full(n, found if n else 0),
                attribute_labels=np.array([codes] * n).reshape(n, 2),
                attribute_probs=probs,
            )
        )
    matched = match_results(results, len(CLASSES), SCHEMA)
    return benchmark.Described(matched, SCHEMA, PROFILE)


def test_confusion_counts_every_cell_of_a_type(benchmark, cells):
    counts = benchmark.confusion_scores(
        cells.matched, CLASSES, ('myelocyte', 'metamyelocyte'), 0.3
    )
    assert counts == {
        'confusion/myelocyte/myelocyte': 10,
        'confusion/myelocyte/metamyelocyte': 10,
        'confusion/myelocyte/missed': 2,
        'confusion/metamyelocyte/neutrophil': 5,
    }


def test_the_majority_of_the_predicted_type(benchmark, cells):
    scores = benchmark.type_scores(cells, 'lld/')
    found = [cell for cell in CELLS if cell[1] is not None]
    truth = np.array([cell[2][0] for cell in found])
    usual = np.array([(0, 0, 2)[cell[1]] for cell in found])
    expected = macro_f1(truth, usual)
    assert scores['lld/attr_shape_macro_f1_predicted_type'] == expected
    both = [
        scores[f'lld/attr_{name}_macro_f1_predicted_type']
        for name in SCHEMA.names
    ]
    mean = scores['lld/attr_macro_f1_predicted_type']
    assert mean == pytest.approx(np.mean(both))


def test_within_types_where_values_vary(benchmark, cells):
    scores = benchmark.type_scores(cells, 'lld/')
    # All myelocytes and neutrophils are said to have one shape.
    of_myelocytes = macro_f1([0] * 10 + [1] * 10, [0] * 20)
    of_neutrophils = macro_f1([2] * 12 + [1] * 11, [2] * 23)
    assert scores['lld/attr_shape_within_myelocyte'] == of_myelocytes
    # Five metamyelocytes, all of one value, tell nothing.
    assert 'lld/attr_shape_within_metamyelocyte' not in scores
    within = scores['lld/attr_shape_macro_f1_within_types']
    assert within == pytest.approx((of_myelocytes + of_neutrophils) / 2)
    # That is what the majority of the type scores, too; of vacuoles the
    # branch sees more.
    majority = scores['lld/attr_shape_macro_f1_within_types_majority']
    assert majority == pytest.approx(within)
    assert scores['lld/attr_vacuoles_macro_f1_within_types'] == 1
    assert scores[
        'lld/attr_vacuoles_macro_f1_within_types_majority'
    ] == pytest.approx(macro_f1([1] * 12 + [0] * 11, [1] * 23))


def test_merged_values(benchmark, cells):
    merged = benchmark.merge_values(
        cells, dict(lobes=('shape', (0, 0, 1)), clear=('vacuoles', (1, 0)))
    )
    assert merged.schema.names == ('lobes', 'clear')
    scores = benchmark.value_scores(merged, 'six/', 0.3)
    # Without the two that are missed; a band is not lobed.
    expected = macro_f1([0] * 25 + [1] * 12 + [0] * 11, [0] * 25 + [1] * 23)
    assert scores['six/attr_lobes_macro_f1'] == pytest.approx(expected)
    assert scores['six/attr_clear_macro_f1'] == 1
    # Missed cells count end to end: 21 of 23 clear ones are found.
    assert scores['six/attr_clear_macro_f1_e2e'] < 1
    assert merged.profile.counts['lobes'].tolist() == [[10, 0], [9, 0], [3, 7]]
    assert merged.profile.counts['clear'].tolist() == [[1, 9], [1, 9], [8, 2]]
    # Where nobody stated a value nobody states a merged one.
    assert (merged.matched.cell_codes[20:25, 1] == -1).all()
