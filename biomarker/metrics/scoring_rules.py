"""How close predicted probabilities come to what happened: Brier scores and log loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, OutcomeError
from biomarker.metrics.discrimination import check_times, same_outcomes
from biomarker.metrics.estimate import (
    Influence,
    MetricEstimate,
    TimedEstimate,
    check_numbers,
    check_response,
    estimate,
    interval,
    interval_rows,
    timed_estimate,
)
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.censoring import (
    CensoringDistribution,
    censoring_influence,
    ipcw_weights,
)

__all__ = [
    "brier_score",
    "brier_skill",
    "integrated_brier_score",
    "integrated_brier_skill",
    "log_loss",
    "response_brier",
]

Floats = npt.NDArray[np.float64]

# A prediction of exactly 0 or 1 that fails would cost infinitely much; no model fitted to at most
# a few thousand patients supports a probability closer to the edge than this.
PROBABILITY_FLOOR = 1e-6


def brier_score(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    alpha: float = 0.05,
    reference: npt.ArrayLike | None = None,
) -> TimedEstimate:
    """Mean squared distance between predicted survival and status at each time.

    BS(t) = mean of w(t) (1[T > t] - S(t))^2 with the censoring weights of
    :func:`biomarker.survival.censoring.ipcw_weights`. Assumes censoring independent of event time
    and covariates; otherwise the patients with known status do not speak for the rest.

    Parameters
    ----------
    y_train : structured array, shape (n_train,)
        Where the censoring distribution and the reference curve are learned.
    y : structured array, shape (n_patients,)
    survival : array-like, shape (n_patients,) for one time or (n_patients, n_times)
        Predicted P(T > t), in [0, 1].
    times : array-like, shape (n_times,)
    alpha : float
    reference : array-like, shape (n_patients, n_times), optional
        Predictions to be compared with; default the Kaplan-Meier curve of ``y_train``, which
        ignores the patient.

    Returns
    -------
    TimedEstimate
        In [0, 1]; lower is better. ``reference`` and ``skill`` = 1 - value / reference (above 0
        means better than the reference) come with it.

    Raises
    ------
    NotEstimableError
        If a time lies beyond the follow-up of ``y_train``.
    OutcomeError
        If a predicted survival is not in [0, 1].

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher (1999), Statistics in Medicine 18.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> brier_score(y, y, [0.2, 0.4, 0.6, 0.8], [2.5]).value.round(3).tolist()
    [0.1]
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    moments = check_times(times)
    own, null = _compared(y_train, y, survival, moments, reference)
    same = same_outcomes(y_train, y)
    result = timed_estimate(
        "brier_score", moments, own[0], own[1], "log", same_patients=same, alpha=alpha
    )
    skill, _, low, high = _skill(own, null, same, alpha)
    return replace(result, reference=null[0], skill=skill, skill_low=low, skill_high=high)


def brier_skill(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    alpha: float = 0.05,
    reference: npt.ArrayLike | None = None,
) -> TimedEstimate:
    """Share of the reference's Brier score that the predictions remove: 1 - BS / BS_reference.

    Parameters and errors as in :func:`brier_score`.

    Returns
    -------
    TimedEstimate
        At most 1; 0 is no better than ignoring the patient, below 0 is worse.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> brier_skill(y, y, [0.2, 0.4, 0.6, 0.8], [2.5]).value.round(3).tolist()
    [0.6]
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    moments = check_times(times)
    own, null = _compared(y_train, y, survival, moments, reference)
    return _skill_estimate("brier_skill", y_train, y, moments, own, null, alpha)


def integrated_brier_score(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    alpha: float = 0.05,
    reference: npt.ArrayLike | None = None,
) -> TimedEstimate:
    """Brier score averaged over time: its trapezoid integral divided by the span of ``times``.

    Parameters and errors as in :func:`brier_score`, with at least two times.

    Returns
    -------
    TimedEstimate
        Arrays of length 1 with ``times`` the last time; lower is better. ``reference`` is the
        integrated score of Kaplan-Meier and ``skill`` = 1 - value / reference.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> S = [[0.2, 0.1], [0.9, 0.4], [0.9, 0.6], [0.9, 0.8]]
    >>> integrated_brier_score(y, y, S, [1.5, 2.5]).value.round(4).tolist()
    [0.055]
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    moments = check_times(times)
    if len(moments) < 2:
        raise ValueError("times must hold at least two times to integrate over; got 1.")
    own, null = _compared(y_train, y, survival, moments, reference, _trapezoid_weights(moments))
    same = same_outcomes(y_train, y)
    result = timed_estimate(
        "integrated_brier_score",
        moments[-1:],
        own[0],
        own[1],
        "log",
        same_patients=same,
        alpha=alpha,
    )
    skill, _, low, high = _skill(own, null, same, alpha)
    return replace(result, reference=null[0], skill=skill, skill_low=low, skill_high=high)


def integrated_brier_skill(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    alpha: float = 0.05,
    reference: npt.ArrayLike | None = None,
) -> TimedEstimate:
    """Share of the reference's integrated Brier score that the predictions remove.

    Parameters and errors as in :func:`integrated_brier_score`.

    Returns
    -------
    TimedEstimate
        Arrays of length 1; at most 1, and 0 is no better than ignoring the patient.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> S = [[0.2, 0.1], [0.9, 0.4], [0.9, 0.6], [0.9, 0.8]]
    >>> integrated_brier_skill(y, y, S, [1.5, 2.5]).value.round(4).tolist()
    [0.7486]
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    moments = check_times(times)
    if len(moments) < 2:
        raise ValueError("times must hold at least two times to integrate over; got 1.")
    own, null = _compared(y_train, y, survival, moments, reference, _trapezoid_weights(moments))
    return _skill_estimate("integrated_brier_skill", y_train, y, moments[-1:], own, null, alpha)


_Parts = tuple[Floats, Influence]


def _compared(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    times: Floats,
    reference: npt.ArrayLike | None,
    share: Floats | None = None,
) -> tuple[_Parts, _Parts]:
    """Brier parts of the predictions and of their reference, averaged over time by ``share``."""
    predicted = _survival_matrix("survival", survival, (len(y), len(times)))
    baseline = _reference(y_train, y, times, reference)
    followed = CensoringDistribution.fit(y_train)
    own, null = (_brier_parts(followed, y_train, y, part, times) for part in (predicted, baseline))
    return (own, null) if share is None else (_integrate(own, share), _integrate(null, share))


def _skill_estimate(
    metric: str,
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    times: Floats,
    own: _Parts,
    null: _Parts,
    alpha: float,
) -> TimedEstimate:
    """A skill with its interval as a result."""
    same = same_outcomes(y_train, y)
    skill, influence, low, high = _skill(own, null, same, alpha)
    error = influence.standard_error(same)
    return TimedEstimate(
        metric, times, skill, low, high, error, len(y), null[0], influence=influence
    )


def _trapezoid_weights(times: Floats) -> Floats:
    """Weights of a trapezoid average over ``times``; they sum to 1."""
    step = np.diff(times)
    weights = np.zeros(len(times))
    weights[:-1] += step / 2.0
    weights[1:] += step / 2.0
    return weights / (times[-1] - times[0])


def _integrate(parts: _Parts, share: Floats) -> _Parts:
    """Average scores and influences over time."""
    value, influence = parts
    train = None if influence.train is None else (influence.train @ share)[:, None]
    joined = Influence((influence.test @ share)[:, None], train)
    return np.array([float(value @ share)]), joined


def _brier_parts(
    followed: CensoringDistribution,
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    predicted: Floats,
    times: Floats,
) -> _Parts:
    """Brier score at each time and the influence of each patient."""
    duration, n = y["duration"], len(y)
    value = np.empty(len(times))
    test = np.empty((n, len(times)))
    train = np.empty((len(y_train), len(times)))
    for number, moment in enumerate(times):
        weight = ipcw_weights(followed, y, float(moment))
        beyond = duration > moment
        loss = weight * (beyond - predicted[:, number]) ** 2
        value[number] = loss.mean()
        test[:, number] = loss - value[number]
        train[:, number] = censoring_influence(
            y_train, status_times(duration, float(moment)), loss / n
        )
    return value, Influence(test, train)


def status_times(duration: Floats, horizon: float) -> Floats:
    """Times up to which a status weight looks at censoring: before T, or through the horizon."""
    return np.where(duration > horizon, np.nextafter(horizon, np.inf), duration)


def _skill(
    own: _Parts, null: _Parts, same_patients: bool, alpha: float
) -> tuple[Floats, Influence, Floats, Floats]:
    """1 - own / null with its influence and interval on the scale of log(1 - skill)."""
    if not np.all(null[0] > 0.0):
        raise NotEstimableError(
            "the reference score must be above 0; got 0 at some time. "
            "Where a curve without covariates is never wrong there is nothing to gain."
        )
    ratio = own[0] / null[0]
    test = -(own[1].test - ratio * null[1].test) / null[0]
    train: Floats | None = None
    if own[1].train is not None and null[1].train is not None:
        train = -(own[1].train - ratio * null[1].train) / null[0]
    influence = Influence(test, train)
    low, high = interval_rows(
        1.0 - ratio, influence.standard_error(same_patients), "log_complement", alpha
    )
    return 1.0 - ratio, influence, low, high


def _reference(
    y_train: SurvivalOutcome, y: SurvivalOutcome, times: Floats, given: npt.ArrayLike | None
) -> Floats:
    """Survival predicted without looking at the patient."""
    if given is not None:
        return _survival_matrix("reference", given, (len(y), len(times)))
    from biomarker.survival.curves import kaplan_meier

    return np.tile(kaplan_meier(y_train).survival_at(times), (len(y), 1))


def _survival_matrix(name: str, values: npt.ArrayLike, shape: tuple[int, int]) -> Floats:
    """Probabilities of shape (n_patients, n_times); one column may come as a vector."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1 and shape[1] == 1:
        array = array[:, None]
    return check_probability(name, array, shape)


def check_probability(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Pass probabilities through; rounding just outside [0, 1] is brought back."""
    array = check_numbers(name, values, shape)
    outside = int(np.count_nonzero((array < -1e-9) | (array > 1.0 + 1e-9)))
    if outside:
        raise OutcomeError(f"{name} must lie in [0, 1]; got {outside} value(s) outside.")
    return np.clip(array, 0.0, 1.0)


def response_brier(
    response: npt.ArrayLike, probability: npt.ArrayLike, alpha: float = 0.05
) -> MetricEstimate:
    """Mean squared distance between predicted probability and response.

    Parameters
    ----------
    response : array-like of bool or 0/1, shape (n_patients,)
    probability : array-like, shape (n_patients,)
        Predicted P(response), in [0, 1].
    alpha : float

    Returns
    -------
    MetricEstimate
        In [0, 1]; lower is better.

    Raises
    ------
    OutcomeError
        If a probability is not in [0, 1].

    Examples
    --------
    >>> round(response_brier([0, 1], [0.1, 0.8]).value, 3)
    0.025
    """
    outcome = check_response(response)
    predicted = check_probability("probability", probability, (len(outcome),))
    loss = (outcome - predicted) ** 2
    value = float(loss.mean())
    return estimate("response_brier", value, Influence(loss - value), "log", alpha=alpha)


def log_loss(
    response: npt.ArrayLike, probability: npt.ArrayLike, alpha: float = 0.05
) -> MetricEstimate:
    """Mean of -log of the probability given to what happened.

    Parameters
    ----------
    response : array-like of bool or 0/1, shape (n_patients,)
    probability : array-like, shape (n_patients,)
        Predicted P(response); kept at least 1e-6 away from 0 and 1, so that one wrong certainty
        costs at most 13.8.
    alpha : float

    Returns
    -------
    MetricEstimate
        At least 0; lower is better; .693 is a coin.

    Examples
    --------
    >>> round(log_loss([0, 1], [0.5, 0.5]).value, 3)
    0.693
    """
    outcome = check_response(response)
    predicted = check_probability("probability", probability, (len(outcome),))
    p = np.clip(predicted, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    loss = -np.where(outcome, np.log(p), np.log1p(-p))
    value = float(loss.mean())
    result = estimate("log_loss", value, Influence(loss - value), "log", alpha=alpha)
    low, high = interval(value, result.standard_error, "log", alpha)
    return replace(result, low=low, high=high)
