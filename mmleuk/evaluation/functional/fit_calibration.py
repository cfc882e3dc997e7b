# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from mmleuk.structures import AttributeSchema

from .calibration import (
    PRIOR_STD,
    Calibration,
    TemperatureError,
    confidence_and_correct,
    cross_validate_temperature,
    fit_temperature,
    negative_log_likelihood,
    reliability_curve,
    type_probs,
)
from .matched_results import MatchedResults


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature and its effect.

    Args:
        title (str): Name of the score for people.
        num_cells (int): Predictions it was fitted on.
        temperature (float | None): None where none could be fitted.
        reason (str): Why it could not, or ''.
        nll_before (float): Mean negative log-likelihood of the unscaled
            scores, in nats; NaN without predictions.
        nll_after (float): The same, scaled by temperatures fitted on the
            other folds; NaN without temperature.
        ece_before (float): Expected calibration error, likewise.
        ece_after (float): Expected calibration error, likewise.
    """

    title: str
    num_cells: int
    temperature: Optional[float]
    reason: str
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit_calibration(
    matched: MatchedResults,
    schema: AttributeSchema,
    fitted_on: str,
    score_thr: float = 0.3,
    groups: Optional[np.ndarray] = None,
    prior_std: float = PRIOR_STD,
) -> Tuple[Calibration, List[TemperatureFit]]:
    """Fit a temperature for the score and one for each attribute.

    The score's is fitted on the detections of ``score_thr`` or more that are
    right or wrong, an attribute's on all matched cells whose value somebody
    stated.

    Args:
        matched (MatchedResults): Detections and cells of fields that the
            model was not trained on.
        schema (AttributeSchema): The attributes.
        fitted_on (str): Name of the data set, for the record.
        score_thr (float): Score from which a detection is shown.
        groups (np.ndarray, optional): Number of the group of each image,
            int64, shape (number of images, ), which stays in one fold of the
            cross-validation. None: each image is a group.
        prior_std (float): See :func:`fit_temperature`.

    Returns:
        tuple[Calibration, list[TemperatureFit]]: The calibration, without
        what could not be fitted, and a row for the type and each attribute
        (none for attributes if the detector predicts none).
    """
    if groups is None:
        groups = np.arange(len(matched.images))
    scores, right, images = matched.right_or_wrong(score_thr)
    probs, truth = type_probs(scores, right)
    fits = [_fit('Type', probs, truth, groups[images], prior_std, binary=True)]
    if matched.probs is not None:
        for index, attribute in enumerate(schema):
            probs, truth, images = matched.stated_attribute(schema, index)
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
        num_cells=int((matched.matches >= 0).sum()),
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

    def ece(probs: np.ndarray) -> float:
        scored = confidence_and_correct(probs, truth, binary)
        return reliability_curve(*scored).ece

    reason, nll_after, ece_after = '', float('nan'), float('nan')
    try:
        temperature = fit_temperature(probs, truth, prior_std)
        scaled = cross_validate_temperature(probs, truth, groups, prior_std)
    except TemperatureError as error:
        temperature, reason = None, str(error)
    else:
        nll_after = negative_log_likelihood(scaled, truth)
        ece_after = ece(scaled)
    return TemperatureFit(
        title=title,
        num_cells=len(truth),
        temperature=temperature,
        reason=reason,
        nll_before=negative_log_likelihood(probs, truth),
        nll_after=nll_after,
        ece_before=ece(probs),
        ece_after=ece_after,
    )
