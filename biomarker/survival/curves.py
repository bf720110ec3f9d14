"""Curves that need no covariate: Kaplan-Meier, Nelson-Aalen, restricted mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, OutcomeError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome

__all__ = [
    "KaplanMeier",
    "Median",
    "NelsonAalen",
    "RestrictedMean",
    "at_risk_table",
    "kaplan_meier",
    "nelson_aalen",
    "restricted_mean",
    "reverse_kaplan_meier",
]

Floats = npt.NDArray[np.float64]

# A product of many fractions may miss one half by a few units in the last place.
_HALF_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Median:
    """A median time with its interval; ``inf`` means not reached."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class KaplanMeier:
    """A Kaplan-Meier curve: survival just after each observed time.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Distinct observed times, ascending (events and censorings).
    survival, low, high : ndarray, shape (n_times,)
        Survival after each time in [0, 1] and its pointwise log-log interval.
    n_at_risk, n_events, n_censored : ndarray, shape (n_times,)
        At risk at t means entered before t and T >= t. Sums of weights when weights are given.
    median : Median
        Smallest time at which survival is at most one half, with its interval.
    n_patients : int
    alpha : float
        The interval covers with probability ``1 - alpha``.
    """

    times: Floats
    survival: Floats
    low: Floats
    high: Floats
    n_at_risk: Floats
    n_events: Floats
    n_censored: Floats
    median: Median
    n_patients: int
    alpha: float

    def survival_at(self, times: npt.ArrayLike) -> Floats:
        """Survival at the given times, right-continuous (an event at t has happened at t).

        Raises
        ------
        NotEstimableError
            If a time lies beyond the last observed time while survival there is above zero.
        """
        return self._step(self.survival, times)

    def interval_at(self, times: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Pointwise interval of survival at the given times: (low, high)."""
        return self._step(self.low, times), self._step(self.high, times)

    def _step(self, values: Floats, times: npt.ArrayLike) -> Floats:
        wanted = np.asarray(times, dtype=np.float64)
        beyond = int(np.count_nonzero(wanted > self.times[-1]))
        if beyond and self.survival[-1] > 0.0:
            raise NotEstimableError(
                f"times must be at most the last observed time ({self.times[-1]:g}); got {beyond} "
                "beyond it. Ask for earlier times."
            )
        position = np.searchsorted(self.times, wanted, side="right")
        return np.concatenate([[1.0], values])[position]


@dataclass(frozen=True)
class NelsonAalen:
    """The cumulative hazard after each observed time, with its log-transformed interval."""

    times: Floats
    cumulative_hazard: Floats
    low: Floats
    high: Floats
    n_at_risk: Floats
    n_events: Floats
    n_patients: int


@dataclass(frozen=True)
class RestrictedMean:
    """Mean time lived event-free up to ``tau``, in the unit of the durations."""

    value: float
    low: float
    high: float
    standard_error: float
    tau: float
    n_patients: int


@dataclass(frozen=True)
class _Counts:
    times: Floats
    at_risk: Floats
    events: Floats
    censored: Floats


def _normal_quantile(alpha: float) -> float:
    """Two-sided standard normal quantile for level ``alpha``."""
    from scipy.special import ndtri

    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie strictly between 0 and 1; got {alpha}.")
    return float(ndtri(1.0 - alpha / 2.0))


def _counts(
    y: SurvivalOutcome, entry: npt.ArrayLike | None, weights: npt.ArrayLike | None
) -> _Counts:
    """Weighted numbers at risk, of events and of censorings at each distinct observed time."""
    duration, event = y["duration"], y["event"]
    n = len(y)
    if n == 0:
        raise NotEstimableError("y must hold at least one patient; got 0.")
    weight = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != (n,) or not np.all(np.isfinite(weight)) or np.any(weight < 0):
        raise OutcomeError(
            f"weights must be {n} finite numbers of at least 0; got shape {weight.shape}."
        )
    times, position = np.unique(duration, return_inverse=True)
    size = len(times)
    events = np.bincount(position, weights=weight * event, minlength=size)
    leaving = np.bincount(position, weights=weight, minlength=size)
    at_risk = np.cumsum(leaving[::-1])[::-1]
    if entry is not None:
        start = np.asarray(entry, dtype=np.float64)
        if start.shape != (n,) or not np.all(start < duration):
            late = int(np.count_nonzero(~(start < duration))) if start.shape == (n,) else n
            raise OutcomeError(
                f"entry must be smaller than duration for every patient; got {late} otherwise."
            )
        # A patient entering at e is at risk from just after e: subtract those with e >= t.
        order = np.argsort(start)
        later = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
        at_risk = at_risk - later[np.searchsorted(start[order], times, side="left")]
    return _Counts(
        times, *(np.asarray(c, dtype=np.float64) for c in (at_risk, events, leaving - events))
    )


def _curve(counts: _Counts, at_risk: Floats, events: Floats, n: int, alpha: float) -> KaplanMeier:
    """Kaplan-Meier product with Greenwood variance on the log(-log) scale."""
    z = _normal_quantile(alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(events > 0, events / at_risk, 0.0)
        survival = np.cumprod(1.0 - hazard)
        spread = np.cumsum(np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0))
        # var log(-log S) = Greenwood sum / (log S)^2
        width = z * np.sqrt(spread) / np.abs(np.log(survival))
        low = survival ** np.exp(width)
        high = survival ** np.exp(-width)
    untouched = spread == 0.0
    low, high = np.where(untouched, 1.0, low), np.where(untouched, 1.0, high)
    # Where everyone has had the event Greenwood's formula divides by zero: the lower bound is 0
    # and the last finite upper bound is carried on, since it still bounds a decreasing curve.
    ended = survival <= 0.0
    if ended.any():
        first = int(np.argmax(ended))
        survival = np.where(ended, 0.0, survival)
        low = np.where(ended, 0.0, low)
        high = np.where(ended, high[first - 1] if first else 1.0, high)
    survival, low, high = (np.asarray(c, dtype=np.float64) for c in (survival, low, high))
    median = Median(*(_first_at_or_below_half(counts.times, c) for c in (survival, low, high)))
    return KaplanMeier(
        counts.times,
        survival,
        low,
        high,
        at_risk,
        events,
        counts.events + counts.censored - events,
        median,
        n,
        alpha,
    )


def _first_at_or_below_half(times: Floats, curve: Floats) -> float:
    """Smallest time at which a decreasing curve is at most one half; infinite if never."""
    below = np.nonzero(curve <= 0.5 + _HALF_TOLERANCE)[0]
    return float(times[below[0]]) if below.size else math.inf


def kaplan_meier(
    y: SurvivalOutcome,
    entry: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> KaplanMeier:
    """Share of patients still event-free after each time, with log-log intervals.

    S(t) is the product over event times u <= t of 1 - d(u) / n(u), with d events among n at
    risk; the variance is Greenwood's and the interval is symmetric on log(-log S).

    Assumes that censoring (and entry, where given) says nothing about the event time to come;
    without that the curve answers for the patients who stay, not for all.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
        Event and duration, from :func:`biomarker.survival_outcome`.
    entry : array-like, shape (n_patients,), optional
        Time at which each patient came under observation (left truncation), in the duration's unit.
    weights : array-like, shape (n_patients,), optional
        Case weights: 2 counts as two such patients, in the variance too.
    alpha : float
        1 minus the coverage of the intervals.

    Returns
    -------
    KaplanMeier
        Survival in [0, 1]; higher is better.

    Raises
    ------
    OutcomeError
        If ``y``, ``entry`` or ``weights`` are not valid.
    NotEstimableError
        If there is no patient.

    Notes
    -----
    Tied events and censorings: events come first, so a patient censored at t is at risk at t.
    The interval of the median collects the times at which the band crosses one half. Cost is
    n log n.

    References
    ----------
    Kaplan and Meier (1958). Borgan and Liestøl (1990), Scand. J. Statist. 17, for the log-log band.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> curve = kaplan_meier(survival_outcome([1, 0, 1, 1], [2.0, 3.0, 5.0, 8.0]))
    >>> curve.survival.tolist(), curve.median.value
    ([0.75, 0.75, 0.375, 0.0], 5.0)
    """
    y = check_survival_outcome(y)
    counts = _counts(y, entry, weights)
    return _curve(counts, counts.at_risk, counts.events, len(y), alpha)


def reverse_kaplan_meier(y: SurvivalOutcome, alpha: float = 0.05) -> KaplanMeier:
    """Distribution of follow-up: Kaplan-Meier with censoring as the event.

    Its median is the median follow-up. A patient with the event at t could no longer be censored
    at t, so events at t leave the risk set before censorings at t are counted.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    alpha : float

    Returns
    -------
    KaplanMeier
        ``survival`` is the share of patients followed beyond t had no event intervened.

    References
    ----------
    Schemper and Smith (1996), Controlled Clinical Trials 17.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> reverse_kaplan_meier(survival_outcome([1, 0, 0], [2.0, 3.0, 5.0])).median.value
    3.0
    """
    y = check_survival_outcome(y)
    counts = _counts(y, None, None)
    return _curve(counts, counts.at_risk - counts.events, counts.censored, len(y), alpha)


def nelson_aalen(
    y: SurvivalOutcome,
    entry: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> NelsonAalen:
    """Cumulative hazard after each time: the sum of d(u) / n(u) over event times u <= t.

    Parameters and assumption as in :func:`kaplan_meier`.

    Returns
    -------
    NelsonAalen
        Cumulative hazard, at least 0; higher is worse. The variance is the sum of d / n^2 and the
        interval is symmetric on the log scale.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> nelson_aalen(survival_outcome([1, 1], [1.0, 2.0])).cumulative_hazard.tolist()
    [0.5, 1.5]
    """
    y = check_survival_outcome(y)
    counts = _counts(y, entry, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(counts.events > 0, counts.events / counts.at_risk, 0.0)
        hazard = np.cumsum(step)
        variance = np.cumsum(np.where(counts.events > 0, step / counts.at_risk, 0.0))
        factor = np.exp(_normal_quantile(alpha) * np.sqrt(variance) / hazard)
    factor = np.where(hazard > 0, factor, 1.0)
    return NelsonAalen(
        counts.times,
        hazard,
        hazard / factor,
        hazard * factor,
        counts.at_risk,
        counts.events,
        len(y),
    )


def restricted_mean(
    y: SurvivalOutcome,
    tau: float,
    entry: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> RestrictedMean:
    """Mean event-free time up to ``tau``: the area under the Kaplan-Meier curve from 0 to tau.

    The variance is the sum over event times u <= tau of A(u)^2 d / (n (n - d)), with A(u) the area
    from u to tau.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    tau : float
        Upper limit, in the unit of the durations.
    entry, weights : array-like, shape (n_patients,), optional
        As in :func:`kaplan_meier`.
    alpha : float

    Returns
    -------
    RestrictedMean
        Between 0 and tau; higher is better.

    Raises
    ------
    NotEstimableError
        If ``tau`` lies beyond the last observed time while survival there is above zero.

    References
    ----------
    Royston and Parmar (2013), BMC Medical Research Methodology 13:152.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> round(restricted_mean(survival_outcome([1, 0, 1], [2.0, 3.0, 5.0]), tau=4.0).value, 6)
    3.333333
    """
    if not (math.isfinite(tau) and tau > 0):
        raise ValueError(f"tau must be finite and greater than 0; got {tau}.")
    curve = kaplan_meier(y, entry=entry, weights=weights, alpha=alpha)
    if tau > curve.times[-1] and curve.survival[-1] > 0.0:
        raise NotEstimableError(
            f"tau must be at most the last observed time ({curve.times[-1]:g}); got {tau:g}. "
            "Choose an earlier limit: beyond it the curve is not known."
        )
    inside = curve.times < tau
    edges = np.concatenate([[0.0], curve.times[inside], [tau]])
    height = np.concatenate([[1.0], curve.survival[inside]])
    area = np.diff(edges) * height
    remaining = np.cumsum(area[::-1])[::-1][1:]
    events, at_risk = curve.n_events[inside], curve.n_at_risk[inside]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = remaining**2 * events / (at_risk * (at_risk - events))
    # Where the curve has reached zero no area remains, and the term is 0, not 0/0.
    standard_error = math.sqrt(float(np.sum(terms[(events > 0) & (remaining > 0)])))
    value = float(area.sum())
    half = _normal_quantile(alpha) * standard_error
    return RestrictedMean(
        value,
        max(0.0, value - half),
        min(float(tau), value + half),
        standard_error,
        float(tau),
        curve.n_patients,
    )


def at_risk_table(y: SurvivalOutcome, times: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Count of patients at risk at each time: those with T >= t.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    times : array-like, shape (n_times,)

    Returns
    -------
    ndarray of int, shape (n_times,)

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> at_risk_table(survival_outcome([1, 0, 1], [2.0, 3.0, 5.0]), [0, 3, 4]).tolist()
    [3, 2, 1]
    """
    duration = np.sort(check_survival_outcome(y)["duration"])
    wanted = np.asarray(times, dtype=np.float64)
    return (len(duration) - np.searchsorted(duration, wanted, side="left")).astype(np.int64)
