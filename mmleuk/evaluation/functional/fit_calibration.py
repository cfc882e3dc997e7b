# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from mmleuk.structures import AttributeSchema

from .calibration import (
    PRIOR_STD,
    Calibration,
    TemperatureError,
    cross_validate_temperature,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    type_probs,
)
from .matched_results import MatchedResults


@dataclass(frozen=True)
class TemperatureFit:
    """What one temperature was fitted on and what it brings.

    Args:
        title (str): Name of the score for people.
        num_judged (int): Answers it was fitted on.
        temperature (float | None): None where none could be fitted.
        reason (str): Why it could not, or ''.
        nll_before (float): Mean negative log-likelihood of the scores as the
            model gives them, in nats; NaN of no answers.
        nll_after (float): The same of scores that were scaled by
            temperatures fitted on the other folds; NaN without temperature.
        ece_before (float): Expected calibration error, likewise.
        ece_after (float): Expected calibration error, likewise.
    """

    title: str
    num_judged: int
    temperature: Optional[float]
    reason: str
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit_calibration(
    judged: MatchedResults,
    schema: AttributeSchema,
    fitted_on: str,
    score_thr: float = 0.3,
    groups: Optional[np.ndarray] = None,
    prior_std: float = PRIOR_STD,
) -> Tuple[Calibration, List[TemperatureFit]]:
    """Fit a temperature for the type's score and one for each attribute.

    The type's is fitted on the detections that people get to see: those of
    ``score_thr`` or more that are right or wrong for sure. An attribute's is
    fitted on all matched cells whose value somebody stated.

    Args:
        judged (MatchedResults): Detections and cells of fields that the model
            was not trained on.
        schema (AttributeSchema): The attributes.
        fitted_on (str): Name of the data set, for the record.
        score_thr (float): Score from which a detection is shown. Defaults to
            0.3.
        groups (np.ndarray, optional): Number of the group of each image,
            int64, shape (number of images, ). The figures "after" come from
            other groups than the temperature that made them. Defaults to
            None, each image by itself.
        prior_std (float): How far log(temperature) is believed to be from 0
            beforehand; infinite for likelihood alone. Defaults to 0.5.

    Returns:
        tuple[Calibration, list[TemperatureFit]]: The calibration, without
        what could not be fitted, and a row for the type and each attribute
        (none for attributes if the detector predicts none).
    """
    if groups is None:
        groups = np.arange(len(judged.images))
    scores, right, images = judged.right_or_wrong(score_thr)
    probs, truth = type_probs(scores, right)
    fits = [_fit('Type', probs, truth, groups[images], prior_std, binary=True)]
    if judged.probs is not None:
        for index, attribute in enumerate(schema):
            probs, truth, images = judged.stated_attribute(schema, index)
            fits.append(
                _fit(attribute.title, probs, truth, groups[images], prior_std)
            )
    temperatures = {
        name: fit.temperature
        for name, fit in zip(schema.names, fits[1:])
        if fit.temperature is not None
    }
    calibration = Calibration(
        type_temperature=fits[0].temperature,
        attribute_temperatures=temperatures,
        num_cells=int((judged.matches >= 0).sum()),
        fitted_on=fitted_on,
    )
    return calibration, fits


def _fit(
    title: str,
    probs: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    prior_std: float,
    binary: bool = False,
) -> TemperatureFit:
    """Fit one temperature, or say why there is none."""
    temperature, reason = None, ''
    nll_after = ece_after = float('nan')
    try:
        temperature = fit_temperature(probs, truth, prior_std)
        scaled = cross_validate_temperature(probs, truth, groups, prior_std)
    except TemperatureError as error:
        temperature, reason = None, str(error)
    else:
        nll_after = negative_log_likelihood(scaled, truth)
        ece_after = expected_calibration_error(*answers(scaled, truth, binary))
    return TemperatureFit(
        title=title,
        num_judged=len(truth),
        temperature=temperature,
        reason=reason,
        nll_before=negative_log_likelihood(probs, truth),
        nll_after=nll_after,
        ece_before=expected_calibration_error(*answers(probs, truth, binary)),
        ece_after=ece_after,
    )


def answers(
    probs: np.ndarray, truth: np.ndarray, binary: bool = False
) -> Tuple[np.ndarray, np.ndarray]:
    """Say how sure each answer is and whether it is right.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        binary (bool): Whether the answer is always yes, as in "this is a
            lymphocyte", rather than the likeliest value. Defaults to False.

    Returns:
        tuple[np.ndarray]: Confidence, shape (n, ); right, bool, shape (n, ).
    """
    if binary:
        return probs[:, 1], truth == 1
    return probs.max(axis=1), probs.argmax(axis=1) == truth
