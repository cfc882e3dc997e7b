# Copyright (c) mmleuk authors. All rights reserved.
import math

import numpy as np
import pytest
from random_results import (
    ATTRIBUTES,
    CLASSES,
    SCHEMA,
    as_data_sample,
    make_results,
)

from mmleuk.evaluation import LLDMetric
from mmleuk.evaluation.functional import (
    attribute_confusion,
    attribute_frequencies,
    match_results,
    table_macro_f1,
    type_confusion,
)
from mmleuk.structures import MISSING

THRESHOLD = 0.3


def match_all(seed, **kwargs):
    results = make_results(np.random.default_rng(seed), **kwargs)
    return results, match_results(results, len(CLASSES), SCHEMA)


@pytest.mark.parametrize('seed', range(5))
def test_types_by_counting_one_by_one(seed):
    _, matched = match_all(seed)
    expected = np.zeros((4, 4), dtype=int)
    found = set()
    for row, cell in enumerate(matched.matches):
        if matched.scores[row] < THRESHOLD:
            continue
        if cell >= 0:
            found.add(cell)
            expected[matched.cell_labels[cell], matched.labels[row]] += 1
        elif not matched.in_unknown_area[row]:
            expected[3, matched.labels[row]] += 1
    for cell, label in enumerate(matched.cell_labels):
        if cell not in found:
            expected[label, 3] += 1
    counts = type_confusion(matched, len(CLASSES), THRESHOLD)
    np.testing.assert_array_equal(counts, expected)
    assert counts[:3].sum() == len(matched.cell_labels)
    assert counts[3].sum() > 0
    assert counts[:, 3].sum() > 0


@pytest.mark.parametrize('same_type', [False, True])
@pytest.mark.parametrize('seed', range(5))
def test_attribute_tables_give_the_metric_its_f1(seed, same_type):
    results, matched = match_all(seed)
    metric = LLDMetric(score_thr=THRESHOLD, match_class=same_type)
    metric.dataset_meta = dict(classes=CLASSES, attributes=ATTRIBUTES)
    metric.process({}, [as_data_sample(result) for result in results])
    scores = metric.evaluate(len(results))
    for index, attribute in enumerate(SCHEMA):
        counts = attribute_confusion(
            matched, index, len(attribute.values), THRESHOLD, same_type
        )
        key = f'lld/attr_{attribute.name}'
        assert counts[:-1].sum() == scores[f'{key}_support_e2e']
        assert table_macro_f1(counts) == pytest.approx(
            scores[f'{key}_macro_f1_e2e']
        )


def test_values_that_do_not_occur_have_no_f1():
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 0]])
    assert table_macro_f1(counts) == pytest.approx(2 * 3 / (4 + 4))
    assert math.isnan(table_macro_f1(np.zeros((3, 3))))


def test_nothing_to_count():
    _, matched = match_all(0, num_cells=1, num_images=1)
    matched = match_results(
        [
            dict(
                matched.images[0],
                instances=[],
                bboxes=np.zeros((0, 4)),
                scores=np.zeros(0),
                labels=np.zeros(0, dtype=int),
                attribute_labels=np.zeros((0, 2), dtype=int),
                attribute_probs=np.zeros((0, 5)),
            )
        ],
        len(CLASSES),
        SCHEMA,
    )
    assert not type_confusion(matched, len(CLASSES), 0).any()
    assert attribute_confusion(matched, 0, 3, 0).shape == (4, 4)


def test_frequencies():
    labels, codes = np.array([0, 2, 2, 2]), np.array([1, 0, 0, MISSING])
    counts = attribute_frequencies(labels, codes, 3, 2)
    assert counts.tolist() == [[0, 1], [0, 0], [2, 0]]
