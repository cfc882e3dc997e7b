# Copyright (c) mmleuk authors. All rights reserved.
"""Temperature scaling of scores, and measures of calibration.

Scores are calibrated if, of the cells with 0.8, four in five are right.
Networks are usually overconfident. One number for all scores of a kind, the
temperature, corrects most of it and never changes which value is the most
probable (Guo et al., 2017, "On Calibration of Modern Neural Networks", ICML,
sections 2 and 4.2).
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Mapping, Optional, Tuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit
from sklearn.model_selection import GroupKFold

from .intervals import wilson_interval

# With fewer cells, a temperature tells more about them than about the model.
MIN_CELLS = 30
# Bounds of the search. A temperature at a bound is not a measurement: no
# network is overconfident by a factor of ten.
TEMPERATURE_BOUNDS = (0.1, 10.0)
# Standard deviation of the prior of log(temperature): in two of three models
# scores are off by less than a factor of 1.6.
PRIOR_STD = 0.5
# Bins of a reliability diagram and of the expected calibration error.
NUM_BINS = 10
# Single precision can't tell a probability closer to 0 or 1 from these.
_ROUNDING = 1e-7


class TemperatureError(ValueError):
    """Raised for cells from which no temperature can be estimated."""


@dataclass(frozen=True)
class Calibration:
    """Temperatures of a checkpoint's scores, from cells it did not train on.

    Args:
        type_temperature (float, optional): Temperature of the detector's
            score. None if there were too few cells.
        attribute_temperatures (dict[str, float]): Temperature by the name of
            the attribute, without attributes of too few cells.
        num_cells (int): Labelled cells that match a detection.
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
            if not isinstance(value, (int, float)) or not (
                0 < value < math.inf
            ):
                raise ValueError(
                    f'the calibration has the temperature {value!r} of '
                    f'{name!r}, expected a finite number above 0'
                )

    def calibrate_scores(self, scores: np.ndarray) -> Optional[np.ndarray]:
        """Turn detection scores into confidences that the class is right.

        Args:
            scores (np.ndarray): Scores in [0, 1], shape (n, ).

        Returns:
            np.ndarray | None: See :func:`scale_scores`. None if the scores
            are not calibrated.
        """
        if self.type_temperature is None:
            return None
        return scale_scores(scores, self.type_temperature)

    def calibrate_attributes(
        self, name: str, probs: np.ndarray
    ) -> Optional[np.ndarray]:
        """Turn probabilities of an attribute's values into confidences.

        Args:
            name (str): Name of the attribute.
            probs (np.ndarray): Probabilities of its values, shape
                (n, number of values).

        Returns:
            np.ndarray | None: See :func:`scale_probs`. None if this attribute
            is not calibrated.
        """
        if name not in self.attribute_temperatures:
            return None
        return scale_probs(probs, self.attribute_temperatures[name])

    def to_dict(self) -> dict:
        """The calibration as plain numbers and strings, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping) -> 'Calibration':
        """Read what :meth:`to_dict` wrote.

        Raises:
            ValueError: If a key is missing or unknown, or a value impossible.
        """
        keys = sorted(cls.__dataclass_fields__)
        if not isinstance(content, Mapping) or sorted(content) != keys:
            raise ValueError(
                f'a calibration is {content!r}, expected a dict with the '
                f'keys {keys}'
            )
        temperatures = dict(content['attribute_temperatures'])
        return cls(**{**content, 'attribute_temperatures': temperatures})


@dataclass(frozen=True)
class ReliabilityCurve:
    """Accuracy of predictions by their confidence.

    Args:
        edges (np.ndarray): Edges of the bins, shape (b + 1, ).
        counts (np.ndarray): Predictions in each bin, int64, shape (b, ).
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
        """float: The expected calibration error; NaN without predictions.

        It is the mean distance of confidence and accuracy (Guo et al.,
        section 2). With few cells even a perfect model has one above 0:
        compare numbers of the same cells only.
        """
        if not self.counts.sum():
            return float('nan')
        filled = self.counts > 0
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.average(gaps[filled], weights=self.counts[filled]))


def _clip(scores: np.ndarray) -> np.ndarray:
    """Scores as float64, away from 0 and 1."""
    scores = np.asarray(scores, dtype=np.float64)
    return np.clip(scores, _ROUNDING, 1 - _ROUNDING)


def scale_scores(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Scale scores by a temperature: above 1 it softens them.

    Args:
        scores (np.ndarray): Scores in [0, 1], shape (n, ).
        temperature (float): The temperature.

    Returns:
        np.ndarray: sigmoid(logit(score) / temperature), shape (n, ), float64.
    """
    return expit(logit(_clip(scores)) / temperature)


def scale_probs(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Scale probabilities of several values by a temperature.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        temperature (float): The temperature.

    Returns:
        np.ndarray: softmax(log(prob) / temperature), same shape, float64.
    """
    return np.exp(_log_scaled(probs, temperature))


def _log_scaled(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Logarithm of :func:`scale_probs`, exact for small values, too."""
    probs = np.maximum(np.asarray(probs, dtype=np.float64), _ROUNDING)
    return log_softmax(np.log(probs) / temperature, axis=1)


def type_probs(scores: np.ndarray, right: np.ndarray) -> Tuple:
    """Write scores as probabilities of two values, wrong and right.

    Args:
        scores (np.ndarray): Scores in [0, 1], shape (n, ).
        right (np.ndarray): Whether the class is right, bool, shape (n, ).

    Returns:
        tuple[np.ndarray]: Probabilities, shape (n, 2), which
        :func:`scale_probs` scales as :func:`scale_scores` the scores; and the
        true value, 0 or 1, shape (n, ).
    """
    scores = _clip(scores)
    probs = np.stack([1 - scores, scores], axis=1)
    return probs, np.asarray(right).astype(np.int64)


def negative_log_likelihood(
    probs: np.ndarray, truth: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean negative log-likelihood of scaled probabilities.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        temperature (float): Temperature to scale by first.

    Returns:
        float: The mean in nats; NaN without cells.
    """
    if not len(truth):
        return float('nan')
    scaled = _log_scaled(probs, temperature)
    return float(-scaled[np.arange(len(truth)), truth].mean())


def _search_temperature(
    probs: np.ndarray, truth: np.ndarray, prior_std: float
) -> float:
    """Most probable temperature, perhaps at a bound."""

    def loss(log_temperature: float) -> float:
        # Without the prior a few dozen cells with a handful of errors could
        # give any temperature.
        nll = negative_log_likelihood(probs, truth, math.exp(log_temperature))
        return nll * len(truth) + (log_temperature / prior_std) ** 2 / 2

    found = minimize_scalar(
        loss,
        bounds=tuple(map(math.log, TEMPERATURE_BOUNDS)),
        method='bounded',
        options=dict(xatol=1e-6),
    )
    return math.exp(found.x)


def fit_temperature(
    probs: np.ndarray, truth: np.ndarray, prior_std: float = PRIOR_STD
) -> float:
    """Fit a temperature by minimising the NLL (Guo et al., section 4.2).

    Args:
        probs (np.ndarray): Probabilities of cells the model did not train
            on, shape (n, number of values). For scores, :func:`type_probs`.
        truth (np.ndarray): True values, int64, shape (n, ).
        prior_std (float): Standard deviation of the prior of
            log(temperature) around 0; infinite for NLL alone.

    Returns:
        float: The temperature, above 1 if the model is overconfident.

    Raises:
        TemperatureError: If there are fewer than ``MIN_CELLS`` cells, if all
            are right or all wrong, or if no temperature within
            ``TEMPERATURE_BOUNDS`` is best.
        ValueError: If ``prior_std`` isn't above 0.
    """
    if not prior_std > 0:
        raise ValueError(
            f'prior_std is {prior_std}, expected a number above 0 (inf for '
            'none)'
        )
    probs, truth = np.asarray(probs), np.asarray(truth)
    if len(truth) < MIN_CELLS:
        raise TemperatureError(
            f'{len(truth)} matched cells, expected at least {MIN_CELLS}'
        )
    num_right = int((probs.argmax(axis=1) == truth).sum())
    if num_right in (0, len(truth)):
        raise TemperatureError(
            f'{num_right} of {len(truth)} matched cells are right, expected '
            'some right and some wrong'
        )
    temperature = _search_temperature(probs, truth, prior_std)
    low, high = TEMPERATURE_BOUNDS
    if not low * 1.01 < temperature < high / 1.01:
        raise TemperatureError(
            f'no temperature in [{low}, {high}] fits {len(truth)} matched '
            f'cells, {num_right} of them right: are these scores of this '
            'model, and are the labels right?'
        )
    return temperature


def cross_validate_temperature(
    probs: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    prior_std: float = PRIOR_STD,
) -> np.ndarray:
    """Scale each prediction by a temperature that was fitted without it.

    There are ten folds, fewer if there are fewer groups.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        groups (np.ndarray): Number of the image, or of the patient, of each
            prediction, int64, shape (n, ). A group stays in one fold.
        prior_std (float): See :func:`fit_temperature`.

    Returns:
        np.ndarray: Scaled probabilities, shape (n, number of values).

    Raises:
        TemperatureError: If there are fewer than two groups.
    """
    num_groups = len(np.unique(groups))
    if num_groups < 2:
        raise TemperatureError(
            f'matched cells of {num_groups} image or patient, expected at '
            'least 2: one to fit and one to check'
        )
    scaled = np.empty(np.shape(probs))
    folds = GroupKFold(min(10, num_groups))
    for fit, held_out in folds.split(probs, truth, groups):
        temperature = _search_temperature(probs[fit], truth[fit], prior_std)
        scaled[held_out] = scale_probs(probs[held_out], temperature)
    return scaled


def reliability_curve(
    confidence: np.ndarray, right: np.ndarray, num_bins: int = NUM_BINS
) -> ReliabilityCurve:
    """Compare confidence and accuracy in bins of equal width.

    Args:
        confidence (np.ndarray): Confidence of each prediction in [0, 1],
            shape (n, ).
        right (np.ndarray): Whether it is right, bool, shape (n, ).
        num_bins (int): Number of bins (a, b], the first with its lower edge.

    Returns:
        ReliabilityCurve: The bins.

    Raises:
        ValueError: If a confidence isn't in [0, 1].
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    if not np.all((confidence >= 0) & (confidence <= 1)):
        raise ValueError(
            f'confidences lie in [{confidence.min()}, {confidence.max()}], '
            'expected numbers in [0, 1]'
        )
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, None)
    counts, num_right, totals = (
        np.bincount(bins, weights, minlength=num_bins)
        for weights in (None, np.asarray(right, dtype=bool), confidence)
    )
    filled = np.where(counts > 0, counts, np.nan)
    intervals = [wilson_interval(*hits) for hits in zip(num_right, counts)]
    low, high = np.transpose(intervals)
    return ReliabilityCurve(
        edges, counts, totals / filled, num_right / filled, low, high
    )


def confidence_and_correct(
    probs: np.ndarray, truth: np.ndarray, binary: bool = False
) -> Tuple[np.ndarray, np.ndarray]:
    """Confidence of the predicted value and whether it is the true one.

    Args:
        probs (np.ndarray): Probabilities, shape (n, number of values).
        truth (np.ndarray): True values, int64, shape (n, ).
        binary (bool): Whether value 1 is always predicted, as in "this is a
            lymphocyte", instead of the most probable one.

    Returns:
        tuple[np.ndarray]: Confidence, shape (n, ); correct, bool, shape (n, ).
    """
    if binary:
        return probs[:, 1], truth == 1
    return probs.max(axis=1), probs.argmax(axis=1) == truth
