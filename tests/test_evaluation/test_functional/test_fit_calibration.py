# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
from random_results import CLASSES, SCHEMA, make_results

from mmleuk.evaluation.functional import (
    confidence_and_correct,
    fit_calibration,
    fit_temperature,
    match_results,
    negative_log_likelihood,
    reliability_curve,
)
from mmleuk.evaluation.functional.calibration import (
    scale_probs,
    scale_scores,
    type_probs,
)


@pytest.fixture(scope='module')
def results():
    return make_results(np.random.default_rng(0), 60)


@pytest.fixture(scope='module')
def matched(results):
    return match_results(results, len(CLASSES), SCHEMA)


def test_a_row_for_the_type_and_each_attribute(matched):
    calibration, fits = fit_calibration(matched, SCHEMA, 'val.json', 0.3)
    assert [fit.title for fit in fits] == [
        'Type',
        'cell_size',
        'nuclear_shape',
    ]
    assert calibration.fitted_on == 'val.json'
    assert calibration.num_cells == (matched.matches >= 0).sum()
    scores, right, _ = matched.right_or_wrong(0.3)
    assert fits[0].num_cells == len(scores)
    probs, truth = type_probs(scores, right)
    assert calibration.type_temperature == fit_temperature(probs, truth)
    assert fits[0].nll_before == negative_log_likelihood(probs, truth)
    assert fits[0].ece_before == pytest.approx(
        reliability_curve(scores, right).ece
    )
    for index, attribute in enumerate(SCHEMA):
        probs, truth, _ = matched.stated_attribute(SCHEMA, index)
        temperature = fit_temperature(probs, truth)
        assert (
            calibration.attribute_temperatures[attribute.name] == temperature
        )
        assert fits[index + 1].num_cells == len(truth)


def test_mends_a_model_that_is_too_sure(results):
    # Scores as sharp as if the model saw everything six times over.
    sharp = []
    for result in results:
        parts = np.split(result['attribute_probs'], [3], axis=1)
        sharp.append(
            dict(
                result,
                scores=scale_scores(result['scores'], 1 / 6),
                attribute_probs=np.concatenate(
                    [scale_probs(part, 1 / 6) for part in parts], axis=1
                ),
            )
        )
    matched = match_results(sharp, len(CLASSES), SCHEMA)
    calibration, fits = fit_calibration(matched, SCHEMA, 'val.json', 0)
    for fit in fits:
        assert fit.temperature > 1.5
        # Scored on cells that its temperature was not fitted on.
        assert fit.nll_after < fit.nll_before
        assert fit.ece_after < fit.ece_before


def test_an_attribute_with_few_cells_is_left_out(results):
    known = 0
    few = []
    for result in results:
        instances = []
        for instance in result['instances']:
            size, shape = instance['attributes']
            keep = known < 20 and shape >= 0
            known += keep
            codes = (size, shape if keep else -1)
            instances.append(dict(instance, attributes=codes))
        few.append(dict(result, instances=instances))
    matched = match_results(few, len(CLASSES), SCHEMA)
    calibration, fits = fit_calibration(matched, SCHEMA, 'val.json')
    assert set(calibration.attribute_temperatures) == {'cell_size'}
    assert fits[2].temperature is None
    assert 'expected at least 30' in fits[2].reason
    assert fits[1].reason == ''


def test_a_detector_without_attributes(results):
    bare = [
        {key: value for key, value in r.items() if 'attribute_' not in key}
        for r in results
    ]
    matched = match_results(bare, len(CLASSES), SCHEMA)
    calibration, fits = fit_calibration(matched, SCHEMA, 'val.json')
    assert len(fits) == 1
    assert calibration.attribute_temperatures == {}


def test_groups_stay_together(matched):
    one = np.zeros(len(matched.images), dtype=int)
    calibration, fits = fit_calibration(matched, SCHEMA, 'a', groups=one)
    assert calibration.type_temperature is None
    assert 'expected at least 2' in fits[0].reason


def test_confidence_and_correct():
    probs, truth = np.array([[0.3, 0.7], [0.6, 0.4]]), np.array([1, 1])
    confidence, right = confidence_and_correct(probs, truth)
    assert (confidence.tolist(), right.tolist()) == ([0.7, 0.6], [True, False])
    confidence, right = confidence_and_correct(probs, truth, binary=True)
    assert (confidence.tolist(), right.tolist()) == ([0.7, 0.4], [True, True])
