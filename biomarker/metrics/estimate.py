"""What a metric returns: a value, its interval, and each patient's share in its error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import OutcomeError

__all__ = [
    "Influence",
    "MetricEstimate",
    "Scale",
    "TimedEstimate",
    "check_numbers",
    "check_response",
    "estimate",
    "interval",
    "timed_estimate",
]

Floats = npt.NDArray[np.float64]
Scale = Literal["identity", "log", "logit", "log_complement"]


@dataclass(frozen=True)
class Influence:
    """First-order share of each patient in a metric's error.

    Attributes
    ----------
    test : ndarray, shape (n_patients,) or (n_patients, n_times)
        The estimate moves by the mean of these over the judged patients.
    train : ndarray, shape (n_train,) or (n_train, n_times), or None
        The same over the patients the censoring weights were learned from.
    """

    test: Floats
    train: Floats | None = None

    def standard_error(self, same_patients: bool) -> Floats:
        """Standard error, joining both shares where judged and training patients are the same."""
        if self.train is None:
            return _root_mean_square(self.test)
        if same_patients:
            return _root_mean_square(self.test + self.train)
        squares = _root_mean_square(self.test) ** 2 + _root_mean_square(self.train) ** 2
        return np.asarray(np.sqrt(squares))


def _root_mean_square(values: Floats) -> Floats:
    """Standard error of a mean of influence values."""
    n = len(values)
    return np.asarray(np.sqrt((values**2).sum(axis=0) / (n * max(n - 1, 1))))


@dataclass(frozen=True)
class MetricEstimate:
    """A metric with its interval over new samples of patients, the predictions held fixed.

    Attributes
    ----------
    metric : str
    value : float
    low, high : float or None
        Interval that covers the metric of *these predictions' model* in the population; None where
        no interval exists (a value at the edge of its range, too few patients).
    standard_error : float or None
    n_patients : int
    horizon : float or None
        Time the metric refers to, in the unit of the durations.
    influence : Influence or None
        For joining folds; see :mod:`biomarker.validation.nested`.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    n_patients: int
    horizon: float | None = None
    influence: Influence | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class TimedEstimate:
    """A metric at several times.

    Attributes
    ----------
    metric : str
    times, value, low, high, standard_error : ndarray, shape (n_times,)
        ``low`` and ``high`` are NaN only where no interval exists.
    n_patients : int
    reference, skill, skill_low, skill_high : ndarray, shape (n_times,), or None
        The same score for predictions that ignore the patient, and 1 - value / reference.
    influence : Influence or None
    """

    metric: str
    times: Floats
    value: Floats
    low: Floats
    high: Floats
    standard_error: Floats
    n_patients: int
    reference: Floats | None = None
    skill: Floats | None = None
    skill_low: Floats | None = None
    skill_high: Floats | None = None
    influence: Influence | None = field(default=None, repr=False, compare=False)


def interval(
    value: float,
    standard_error: float | None,
    scale: Scale,
    alpha: float = 0.05,
    degrees_of_freedom: float = math.inf,
) -> tuple[float | None, float | None]:
    """Interval symmetric on the metric's natural scale; (None, None) where there is none.

    ``log_complement`` is log(1 - value), the scale of a skill.
    """
    from scipy.special import ndtri, stdtrit

    if standard_error is None or not math.isfinite(standard_error) or standard_error <= 0.0:
        return None, None
    upper = 1.0 - alpha / 2.0
    finite = math.isfinite(degrees_of_freedom)
    z = float(stdtrit(degrees_of_freedom, upper) if finite else ndtri(upper))
    half = z * standard_error
    if scale == "identity":
        return value - half, value + half
    if scale == "log":
        if value <= 0.0:
            return None, None
        return value * math.exp(-half / value), value * math.exp(half / value)
    if scale == "log_complement":
        rest = 1.0 - value
        if rest <= 0.0:
            return None, None
        return 1.0 - rest * math.exp(half / rest), 1.0 - rest * math.exp(-half / rest)
    if not 0.0 < value < 1.0:
        return None, None
    centre, width = math.log(value / (1.0 - value)), half / (value * (1.0 - value))
    return _expit(centre - width), _expit(centre + width)


def _expit(x: float) -> float:
    """Logistic function without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def estimate(
    metric: str,
    value: float,
    influence: Influence,
    scale: Scale,
    *,
    same_patients: bool = True,
    alpha: float = 0.05,
    horizon: float | None = None,
) -> MetricEstimate:
    """Join a value and its influence into a result with an interval."""
    error = float(influence.standard_error(same_patients))
    low, high = interval(value, error, scale, alpha)
    n = len(influence.test)
    return MetricEstimate(metric, value, low, high, error, n, horizon, influence)


def timed_estimate(
    metric: str,
    times: Floats,
    value: Floats,
    influence: Influence,
    scale: Scale,
    *,
    same_patients: bool = True,
    alpha: float = 0.05,
) -> TimedEstimate:
    """The same at several times."""
    error = influence.standard_error(same_patients)
    bounds = interval_rows(value, error, scale, alpha)
    n = len(influence.test)
    return TimedEstimate(metric, times, value, *bounds, error, n, influence=influence)


def interval_rows(
    value: Floats, error: Floats, scale: Scale, alpha: float
) -> tuple[Floats, Floats]:
    """Intervals of several values; NaN where there is none."""
    rows = [interval(float(v), float(e), scale, alpha) for v, e in zip(value, error, strict=True)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def check_numbers(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Pass finite numbers of the wanted shape through; say what is wrong with any other."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise OutcomeError(f"{name} must have shape {shape}; got {array.shape}.")
    strange = int(np.count_nonzero(~np.isfinite(array)))
    if strange:
        raise OutcomeError(f"{name} must be finite; got {strange} value(s) that are not.")
    return array


def check_response(response: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Pass a one-dimensional 0/1 or boolean response through as booleans."""
    array = np.asarray(response)
    if array.ndim != 1:
        raise OutcomeError(f"response must be one-dimensional; got {array.ndim} dimensions.")
    if array.dtype != np.bool_ and not np.all(np.isin(array, (0, 1))):
        raise OutcomeError("response must hold only 0/1 or booleans; got other values.")
    return array.astype(np.bool_)
