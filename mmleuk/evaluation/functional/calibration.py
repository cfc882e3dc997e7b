# Copyright (c) mmleuk authors. All rights reserved.
"""Scores that mean what they say: temperature scaling and its measures.

A score is calibrated if, of the cells that get 0.8, four in five are right.
Networks are usually too sure. One number for all scores of a kind, the
temperature, issues most of it and never changes which answer is the likeliest
(Guo et al., 2017, "On Calibration of Modern Neural Networks", ICML, sections
2 and 4.2).
"""

import math
from dataclasses import dataclass, field
from typing import Mapping, Optional, Tuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit
from sklearn.model_selection import GroupKFold

from .intervals import wilson_interval

# With fewer, a temperature says more of the few cells than of the model.
MIN_JUDGED = 30
# Where the search for a temperature ends. One that arrives there is not a
# measurement: no network is ten times too sure.
TEMPERATURE_BOUNDS = (0.1, 10.0)
# How far log(temperature) is believed to be from 0 before any cell is seen: in
# two of three models a score is off by less than a factor of 1.6.
PRIOR_STD = 0.5
# Bins of a reliability diagram and of the expected calibration error.
NUM_BINS = 10
# Single precision can't tell a probability closer to 0 or 1 from these.
_ROUNDING = 1e-7


class TemperatureError(ValueError):
    """Judged answers from which no temperature can be told."""


@dataclass(frozen=True)
class Calibration:
    """Temperatures of a checkpoint's scores, from cells it did not train on.

    Args:
        type_temperature (float, optional): Temperature of the detector's
            score for the type it names. None if there were too few cells.
        attribute_temperatures (dict[str, float]): Temperature by the name of
            the attribute; attributes with too few cells are not in it.
        num_cells (int): Labelled cells that a detection was matched to.
        fitted_on (str): Name of the data set.

    Raises:
        ValueError: If a temperature isn't a finite number above 0.
    """

    type_temperature: Optional[float]
    attribute_temperatures: Mapping[str, float] = field(default_factory=dict)
    num_cells: int = 0
    fitted_on: str = ''

    def __post_init__(self) -> None:
        temperatures = {'type_temperature': self.type_temperature}
        temperatures.update(self.attribute_temperatures)
        for name, value in temperatures.items():
            if value is None and name == 'type_temperature':
                continue
            is_number = isinstance(value, (int, float))
            if not is_number or not 0 < value < math.inf:
                raise ValueError(
                    f'the calibration has the temperature {value!r} of '
                    f'{name!r}, expected a finite number above 0'
                )

    def calibrate_scores(self, scores: np.ndarray) -> Optional[np.ndarray]:
        """Turn detection scores into chances that the named type is right.

        Args:
            scores (np.ndarray): Scores in [0, 1], shape (n, ).

        Returns:
            np.ndarray | None: sigmoid(logit(score) / temperature), shape
            (n, ), float64. None if the scores are not calibrated.
        """
        if self.type_temperature is None:
            return None
        return scale_scores(scores, self.type_temperature)

    def calibrate_attributes(
        self, name: str, probs: np.ndarray
    ) -> Optional[np.ndarray]:
        """Turn probabilities of an attribute's values into chances.

        Args:
            name (str): Name of the attribute.
            probs (np.ndarray): Probabilities of its values, shape
                (n, number of values).

        Returns:
            np.ndarray | None: softmax(log(probs) / temperature), shape
            (n, number of values), float64. None if this attribute is not
            calibrated.
        """
        if name not in self.attribute_temperatures:
            return None
        return scale_probs(probs, self.attribute_temperatures[name])

    def to_dict(self) -> dict:
        """Write the calibration as plain numbers and strings.

        Returns:
            dict: What :meth:`from_dict` reads, fit for JSON.
        """
        return dict(
            fitted_on=self.fitted_on,
            num_cells=int(self.num_cells),
            type_temperature=None
            if self.type_temperature is None
            else float(self.type_temperature),
            attribute_temperatures={
                name: float(value)
                for name, value in self.attribute_temperatures.items()
            },
        )

    @classmethod
    def from_dict(cls, content: Mapping) -> 'Calibration':
        """Read what :meth:`to_dict` wrote.

        Args:
            content (dict): The calibration.

        Returns:
            Calibration: The same calibration.

        Raises:
            ValueError: If a key is missing or unknown, or a value impossible.
        """
        if not isinstance(content, Mapping):
            raise ValueError(
                f'a calibration is {content!r}, expected a dict with the '
                f'keys {sorted(cls.__dataclass_fields__)}'
            )
        if set(content) != set(cls.__dataclass_fields__):
            raise ValueError(
                f'a calibration has the keys {sorted(content)}, expected '
                f'{sorted(cls.__dataclass_fields__)}'
            )
        content = dict(content)
        content['attribute_temperatures'] = dict(
            content['attribute_temperatures']
        )
        return cls(**content)


@dataclass(frozen=True)
class ReliabilityCurve:
    """How often answers of each confidence are right.

    Args:
        edges (np.ndarray): Edges of the bins, shape (b + 1, ).
        counts (np.ndarray): Answers in each bin, int64, shape (b, ).
        confidence (np.ndarray): Their mean confidence, shape (b, ); NaN for
            an empty bin.
        accuracy (np.ndarray): Share of them that is right, shape (b, ); NaN
            for an empty bin.
        low (np.ndarray): Lower ends of the 95 % intervals of ``accuracy``
            (Wilson), shape (b, ).
        high (np.ndarray): Their upper ends, shape (b, ).
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def ece(self) -> float:
        """float: The expected calibration error; NaN without answers."""
        if not self.counts.sum():
            return float('nan')
        filled = self.counts > 0
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.average(gaps[filled], weights=self.counts[filled]))


def scale_scores(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Soften (above 1) or sharpen (below 1) the chances of yes.

    Args:
        scores (np.ndarray): Chances in [0, 1], shape (n, ).
        temperature (float): The temperature.

    Returns:
        np.ndarray: sigmoid(logit(score) / temperature), shape (n, ), float64.
    """
    scores = np.clip(
        np.asarray(scores, dtype=np.float64), _ROUNDING, 1 - _ROUNDING
    )
    return expit(logit(scores) / temperature)


def scale_probs(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Soften (above 1) or sharpen (below 1) probabilities of several values.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        temperature (float): The temperature.

    Returns:
        np.ndarray: softmax(log(prob) / temperature), same shape, float64.
    """
    return np.exp(_log_scaled(probs, temperature))


def _log_scaled(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Logarithm of :func:`scale_probs`, exact for what is unlikely, too."""
    probs = np.maximum(np.asarray(probs, dtype=np.float64), _ROUNDING)
    return log_softmax(np.log(probs) / temperature, axis=1)


def type_probs(scores: np.ndarray, right: np.ndarray) -> Tuple:
    """Write scores of a yes or no as probabilities of two values.

    Args:
        scores (np.ndarray): Chances of yes in [0, 1], shape (n, ).
        right (np.ndarray): Whether it is yes, bool, shape (n, ).

    Returns:
        tuple[np.ndarray]: Probabilities of no and yes, shape (n, 2), and the
        true value, 0 or 1, shape (n, ): scaled by a temperature they stay
        what :func:`scale_scores` makes of the scores.
    """
    scores = np.clip(
        np.asarray(scores, dtype=np.float64), _ROUNDING, 1 - _ROUNDING
    )
    return (
        np.stack([1 - scores, scores], axis=1),
        np.asarray(right).astype(np.int64),
    )


def negative_log_likelihood(
    probs: np.ndarray, truth: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean surprise at the truth, what a temperature is fitted by.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        temperature (float): Temperature to scale by first. Defaults to 1.

    Returns:
        float: Mean of -log(probability of the true value), in nats; NaN of
        no answers.
    """
    if not len(truth):
        return float('nan')
    scaled = _log_scaled(probs, temperature)
    return float(-scaled[np.arange(len(truth)), truth].mean())


def search_temperature(
    probs: np.ndarray, truth: np.ndarray, prior_std: float = PRIOR_STD
) -> float:
    """Find the likeliest temperature within ``TEMPERATURE_BOUNDS``.

    That is the least NLL, and a penalty for leaving 1 that is worth less the
    more answers there are: a Gaussian prior of log(temperature) around 0,
    for a few dozen cells with a handful of errors would otherwise give any
    temperature.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        prior_std (float): Standard deviation of the prior; infinite for NLL
            alone, as Guo et al. have it. Defaults to 0.5.

    Returns:
        float: The temperature, perhaps a bound: :func:`fit_temperature`
        refuses that.
    """

    def surprise(log_temperature: float) -> float:
        nll = negative_log_likelihood(probs, truth, math.exp(log_temperature))
        return nll * len(truth) + (log_temperature / prior_std) ** 2 / 2

    found = minimize_scalar(
        surprise,
        bounds=tuple(map(math.log, TEMPERATURE_BOUNDS)),
        method='bounded',
        options=dict(xatol=1e-6),
    )
    return math.exp(found.x)


def fit_temperature(
    probs: np.ndarray, truth: np.ndarray, prior_std: float = PRIOR_STD
) -> float:
    """Fit a temperature by the least NLL (Guo et al., section 4.2).

    Args:
        probs (np.ndarray): Probabilities of cells the model did not train
            on, shape (n, number of values). Of a yes or no:
            :func:`type_probs`.
        truth (np.ndarray): True values, int64, shape (n, ).
        prior_std (float): See :func:`search_temperature`. Defaults to 0.5.

    Returns:
        float: The temperature: above 1 if the model is too sure.

    Raises:
        TemperatureError: If fewer than ``MIN_JUDGED`` answers are given, if
            all of them are right or all wrong, or if no temperature within
            ``TEMPERATURE_BOUNDS`` is best.
        ValueError: If ``prior_std`` isn't above 0.
    """
    if not prior_std > 0:
        raise ValueError(
            f'prior_std is {prior_std}, expected a number above 0 (inf for '
            'none)'
        )
    probs, truth = np.asarray(probs), np.asarray(truth)
    if len(truth) < MIN_JUDGED:
        raise TemperatureError(
            f'{len(truth)} judged cells, expected at least {MIN_JUDGED}'
        )
    num_right = int((probs.argmax(axis=1) == truth).sum())
    if num_right in (0, len(truth)):
        raise TemperatureError(
            f'{num_right} of {len(truth)} judged cells are right: how sure '
            'the model should be when it errs, they cannot tell'
        )
    temperature = search_temperature(probs, truth, prior_std)
    low, high = TEMPERATURE_BOUNDS
    if not low * 1.01 < temperature < high / 1.01:
        raise TemperatureError(
            f'no temperature in [{low}, {high}] fits {len(truth)} judged '
            f'cells, {num_right} of them right: are these scores of this '
            'model, and are the labels right?'
        )
    return temperature


def cross_validate_temperature(
    probs: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    prior_std: float = PRIOR_STD,
    num_folds: int = 10,
) -> np.ndarray:
    """Scale each answer by a temperature that was fitted without it.

    What a temperature brings can't be told on the cells it was fitted on.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        groups (np.ndarray): Number of the image, or of the patient, of each
            answer, int64, shape (n, ): those of one group stay together.
        prior_std (float): See :func:`search_temperature`. Defaults to 0.5.
        num_folds (int): Number of parts, fewer if there are fewer groups.
            Defaults to 10.

    Returns:
        np.ndarray: Scaled probabilities, shape (n, number of values).

    Raises:
        TemperatureError: If there is but one group.
    """
    num_groups = len(np.unique(groups))
    if num_groups < 2:
        raise TemperatureError(
            f'judged cells of {num_groups} image or patient, expected at '
            'least 2: what is fitted on some is tried on the others'
        )
    scaled = np.empty(np.shape(probs))
    folds = GroupKFold(min(num_folds, num_groups))
    for fit, held_out in folds.split(probs, truth, groups):
        temperature = search_temperature(probs[fit], truth[fit], prior_std)
        scaled[held_out] = scale_probs(probs[held_out], temperature)
    return scaled


def reliability_curve(
    confidence: np.ndarray, right: np.ndarray, num_bins: int = NUM_BINS
) -> ReliabilityCurve:
    """Compare confidence and accuracy in bins of equal width.

    Args:
        confidence (np.ndarray): Confidence of each answer in [0, 1], shape
            (n, ).
        right (np.ndarray): Whether it is right, bool, shape (n, ).
        num_bins (int): Number of bins (a, b], the first with its lower edge.
            Defaults to 10.

    Returns:
        ReliabilityCurve: The bins.

    Raises:
        ValueError: If a confidence isn't in [0, 1].
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(right, dtype=bool)
    if len(confidence) and not (
        0 <= confidence.min() and confidence.max() <= 1
    ):
        raise ValueError(
            f'confidences lie in [{confidence.min()}, {confidence.max()}], '
            'expected numbers in [0, 1]'
        )
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, None)
    counts = np.bincount(bins, minlength=num_bins)
    num_right = np.bincount(bins, weights=right, minlength=num_bins)
    totals = np.bincount(bins, weights=confidence, minlength=num_bins)
    filled = np.where(counts > 0, counts, np.nan)
    intervals = [wilson_interval(*hits) for hits in zip(num_right, counts)]
    low, high = np.transpose(intervals)
    return ReliabilityCurve(
        edges, counts, totals / filled, num_right / filled, low, high
    )


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, num_bins: int = NUM_BINS
) -> float:
    """Mean distance of confidence and accuracy (Guo et al., section 2).

    Few cells alone give an error above 0, even of a perfect model: compare
    figures of the same cells only.

    Args:
        confidence (np.ndarray): Confidence of each answer in [0, 1], shape
            (n, ).
        right (np.ndarray): Whether it is right, bool, shape (n, ).
        num_bins (int): Number of bins of equal width. Defaults to 10.

    Returns:
        float: The error in [0, 1]; NaN of no answers.
    """
    return reliability_curve(confidence, right, num_bins).ece
