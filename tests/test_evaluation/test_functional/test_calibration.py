# Copyright (c) mmleuk authors. All rights reserved.
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmleuk.evaluation.functional import (
    Calibration,
    TemperatureError,
    fit_temperature,
    negative_log_likelihood,
    reliability_curve,
    wilson_interval,
)
from mmleuk.evaluation.functional.calibration import (
    cross_validate_temperature,
    scale_probs,
    scale_scores,
    type_probs,
)

CALIBRATION = Calibration(1.5, {'cell_size': 2.0}, 40, 'val.json')


def sample_cells(rng, count, temperature, num_values=3):
    """Predictions of a model that is too sure by a known temperature."""
    honest = rng.dirichlet(np.ones(num_values), count)
    truth = np.array([rng.choice(num_values, p=p) for p in honest])
    return scale_probs(honest, 1 / temperature), truth


@pytest.mark.parametrize('temperature', [0.5, 1.0, 2.0])
def test_finds_the_temperature_that_made_the_scores(temperature):
    cells = sample_cells(np.random.default_rng(0), 4000, temperature)
    assert fit_temperature(*cells) == pytest.approx(temperature, rel=0.06)


def test_finds_the_temperature_of_yes_and_no():
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, 6000)
    right = rng.random(6000) < honest
    cells = type_probs(scale_scores(honest, 1 / 1.7), right)
    assert fit_temperature(*cells) == pytest.approx(1.7, rel=0.06)


def test_no_other_temperature_has_a_smaller_nll():
    cells = sample_cells(np.random.default_rng(1), 300, 1.8)
    best = fit_temperature(*cells, prior_std=math.inf)
    smallest = negative_log_likelihood(*cells, best)
    for other in np.linspace(0.2, 6, 60):
        assert negative_log_likelihood(*cells, other) > smallest - 1e-9


def test_prior_holds_few_cells_and_lets_many_go():
    rng = np.random.default_rng(2)
    few, many = (sample_cells(rng, count, 3.0) for count in (40, 4000))
    held, free = (fit_temperature(*few, std) for std in (0.1, math.inf))
    assert 1 < held < 1.3 < free
    held, free = (fit_temperature(*many, std) for std in (0.5, math.inf))
    assert held == pytest.approx(free, rel=0.01)


def test_refuses_too_few_cells():
    cells = sample_cells(np.random.default_rng(0), 29, 1.0)
    with pytest.raises(TemperatureError, match='29 matched cells.* 30'):
        fit_temperature(*cells)


@pytest.mark.parametrize('is_right', [True, False])
def test_refuses_where_all_are_right_or_wrong(is_right):
    probs = np.tile([0.8, 0.2], (50, 1))
    truth = np.full(50, 0 if is_right else 1)
    number = 50 if is_right else 0
    with pytest.raises(TemperatureError, match=f'^{number} of 50'):
        fit_temperature(probs, truth)


def test_refuses_a_temperature_at_the_bound():
    # Wrong as often as right, whatever the score.
    probs = np.tile([0.999, 0.001], (60, 1))
    truth = np.arange(60) % 2
    with pytest.raises(TemperatureError, match='no temperature in'):
        fit_temperature(probs, truth, math.inf)


def test_refuses_an_impossible_prior():
    cells = sample_cells(np.random.default_rng(0), 50, 1.0)
    with pytest.raises(ValueError, match='prior_std is 0'):
        fit_temperature(*cells, prior_std=0)


@given(
    st.floats(0, 1),
    st.floats(0.1, 10),
)
@settings(deadline=None)
def test_scores_scale_by_their_logit(score, temperature):
    scaled = scale_scores(np.array([score]), temperature)[0]
    inner = min(max(score, 1e-7), 1 - 1e-7)
    odds = (inner / (1 - inner)) ** (1 / temperature)
    assert scaled == pytest.approx(odds / (1 + odds))
    as_two = scale_probs(type_probs([score], [True])[0], temperature)[0, 1]
    assert scaled == pytest.approx(as_two)


def test_scaling_keeps_the_order_and_the_sum():
    probs = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    scaled = scale_probs(probs, 2.5)
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_array_equal(
        scaled.argsort(axis=1), probs.argsort(axis=1)
    )
    np.testing.assert_allclose(scale_probs(probs, 1), probs)


def test_probabilities_of_0_and_1_stay_finite():
    sure = np.array([[1.0, 0.0]], dtype=np.float32)
    assert np.isfinite(scale_probs(sure, 3.0)).all()
    assert math.isfinite(negative_log_likelihood(sure, np.array([1])))


def test_cross_validation_never_sees_the_group_it_scales():
    rng = np.random.default_rng(0)
    probs, truth = sample_cells(rng, 60, 1.0)
    groups = np.repeat(np.arange(6), 10)
    scaled = cross_validate_temperature(probs, truth, groups)
    for group in range(6):
        own = groups == group
        # Other cells of this group must leave its own scaling as it was.
        changed = np.where(own, (truth + 1) % 3, truth)
        again = cross_validate_temperature(probs, changed, groups)
        np.testing.assert_array_equal(again[own], scaled[own])
        assert not np.allclose(again[~own], scaled[~own])


def test_cross_validation_needs_two_groups():
    cells = sample_cells(np.random.default_rng(0), 40, 1.0)
    with pytest.raises(TemperatureError, match='1 image'):
        cross_validate_temperature(*cells, np.zeros(40, dtype=int))


def test_curve_by_hand():
    confidence = np.array([0.0, 0.1, 0.15, 0.95, 1.0, 0.91, 0.99])
    right = np.array([0, 0, 1, 1, 1, 0, 1], dtype=bool)
    curve = reliability_curve(confidence, right)
    assert curve.counts.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    np.testing.assert_allclose(
        curve.confidence[[0, 1, 9]], [0.05, 0.15, 0.9625]
    )
    np.testing.assert_allclose(curve.accuracy[[0, 1, 9]], [0, 1, 0.75])
    assert np.isnan(curve.accuracy[5])
    assert (curve.low[9], curve.high[9]) == wilson_interval(3, 4)
    error = (2 * 0.05 + 0.85 + 4 * 0.2125) / 7
    assert curve.ece == pytest.approx(error)


def test_honest_scores_have_a_small_error_and_boasts_a_large_one():
    rng = np.random.default_rng(0)
    scores = rng.random(20000)
    right = rng.random(20000) < scores
    assert reliability_curve(scores, right).ece < 0.02
    sure = np.full(20000, 0.99)
    assert reliability_curve(sure, right).ece == pytest.approx(
        0.99 - right.mean()
    )


def test_error_of_no_predictions_is_not_a_number():
    assert math.isnan(reliability_curve(np.zeros(0), np.zeros(0)).ece)


@pytest.mark.parametrize('bad', [1.2, -0.1, math.nan])
def test_curve_refuses_what_is_no_probability(bad):
    with pytest.raises(ValueError, match='expected numbers in'):
        reliability_curve(np.array([0.5, bad]), np.array([True, False]))


def test_calibration_scales_what_it_knows():
    scores, probs = np.array([0.9, 0.2]), np.array([[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(
        CALIBRATION.calibrate_scores(scores), scale_scores(scores, 1.5)
    )
    np.testing.assert_allclose(
        CALIBRATION.calibrate_attributes('cell_size', probs),
        probs**0.5 / (probs**0.5).sum(),
    )
    assert CALIBRATION.calibrate_attributes('nucleolus', probs) is None
    assert Calibration(None).calibrate_scores(scores) is None


@pytest.mark.parametrize('calibration', [CALIBRATION, Calibration(None)])
def test_calibration_survives_json(calibration):
    content = json.loads(json.dumps(calibration.to_dict()))
    assert Calibration.from_dict(content) == calibration


@pytest.mark.parametrize('bad', [0, -1.0, math.inf, math.nan, '2', None])
def test_calibration_refuses_impossible_temperatures(bad):
    with pytest.raises(ValueError, match="of 'cell_size'"):
        Calibration(1.0, {'cell_size': bad})
    if bad is not None:
        with pytest.raises(ValueError, match="of 'type_temperature'"):
            Calibration(bad)


@pytest.mark.parametrize(
    'content', [None, {}, {**CALIBRATION.to_dict(), 'slope': 1}]
)
def test_calibration_refuses_other_keys(content):
    with pytest.raises(ValueError, match='expected'):
        Calibration.from_dict(content)
