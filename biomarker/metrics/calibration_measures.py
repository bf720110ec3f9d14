"""Do predicted risks agree with what happens? Slope, intercept, O:E, ICI and a curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.metrics.discrimination import same_outcomes
from biomarker.metrics.estimate import Influence, MetricEstimate, check_response, estimate
from biomarker.metrics.scoring_rules import PROBABILITY_FLOOR, check_probability, status_times
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.censoring import (
    CensoringDistribution,
    censoring_influence,
    ipcw_weights,
)

__all__ = ["CalibrationGroups", "CalibrationResult", "calibration", "response_calibration"]

Floats = npt.NDArray[np.float64]
Link = Literal["cloglog", "logit"]

_MAX_STEPS = 100
_CURVE_POINTS = 101


@dataclass(frozen=True)
class CalibrationGroups:
    """Observed against predicted risk by fifths of predicted risk.

    Attributes
    ----------
    predicted, observed, low, high : ndarray, shape (n_groups,)
        Mean predicted risk; weighted share with the event and its interval (logit scale; NaN where
        the share is 0 or 1).
    n_patients : ndarray of int, shape (n_groups,)
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n_patients: npt.NDArray[np.int64]


@dataclass(frozen=True)
class CalibrationResult:
    """Agreement of predicted risks with outcome.

    Attributes
    ----------
    slope : MetricEstimate
        1 is right; below 1 the predictions are too extreme, above 1 too timid.
    intercept : MetricEstimate
        Calibration in the large on the link scale: 0 is right, above 0 risks are too low.
    observed_expected : MetricEstimate
        Observed over mean predicted risk: 1 is right, above 1 risks are too low.
    ici, e50, e90 : float
        Mean, median and 90% quantile of the distance between the smooth curve and the diagonal.
        They carry no interval: a distance cannot be below 0, so noise alone makes it positive.
    curve_predicted, curve_observed : ndarray, shape (n_points,)
        The smooth curve, between the 1% and 99% quantiles of predicted risk.
    groups : CalibrationGroups
    n_patients : int
    horizon : float or None
    link : str
        "cloglog" for survival at a horizon, "logit" for a response.
    """

    slope: MetricEstimate
    intercept: MetricEstimate
    observed_expected: MetricEstimate
    ici: float
    e50: float
    e90: float
    curve_predicted: Floats = field(repr=False)
    curve_observed: Floats = field(repr=False)
    groups: CalibrationGroups = field(repr=False)
    n_patients: int
    horizon: float | None
    link: str

    @property
    def value(self) -> float:
        """The slope."""
        return self.slope.value

    @property
    def low(self) -> float | None:
        """Lower end of the slope's interval."""
        return self.slope.low

    @property
    def high(self) -> float | None:
        """Upper end of the slope's interval."""
        return self.slope.high


@dataclass(frozen=True)
class _Judged:
    """Status, weights and predicted risk of the judged patients, and how G's error enters."""

    status: Floats
    weight: Floats
    risk: Floats
    link: Link
    train_share: Callable[[Floats], Floats | None]
    same_patients: bool
    alpha: float
    horizon: float | None


def calibration(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    horizon: float,
    alpha: float = 0.05,
) -> CalibrationResult:
    """Calibration of predicted survival at one horizon, allowing for censoring.

    Status by the horizon D is regressed on the predicted risk p = 1 - S with censoring weights w:
    P(D = 1) = 1 - exp(-exp(a + b x)), x = log(-log S). b is the slope; a with b fixed at 1 is the
    intercept; O:E is the weighted mean of D (the Kaplan-Meier risk) over the mean of p; the smooth
    curve lets x enter by a restricted cubic spline with four knots.

    Assumes censoring independent of event time and covariates.

    Parameters
    ----------
    y_train : structured array, shape (n_train,)
        Where the censoring distribution is learned.
    y : structured array, shape (n_patients,)
    survival : array-like, shape (n_patients,)
        Predicted P(T > horizon), in [0, 1]; kept 1e-6 away from both ends.
    horizon : float
        In the unit of the durations.
    alpha : float

    Returns
    -------
    CalibrationResult

    Raises
    ------
    NotEstimableError
        If the horizon is beyond the follow-up, all known statuses are alike, all predictions are
        alike, or the predictions separate the statuses completely.

    References
    ----------
    Austin, Harrell and van Klaveren (2020), Statistics in Medicine 39. Gerds, Andersen and Kattan
    (2014), Statistics in Medicine 33.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker import survival_outcome
    >>> rng = np.random.default_rng(0)
    >>> rate = np.exp(rng.normal(size=2000))
    >>> y = survival_outcome(np.ones(2000), rng.exponential(1 / rate))
    >>> result = calibration(y, y, np.exp(-rate * 0.5), horizon=0.5)
    >>> round(result.value, 1), round(result.observed_expected.value, 1)
    (1.0, 1.0)
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    predicted = check_probability("survival", survival, (len(y),))
    followed = CensoringDistribution.fit(y_train)
    weight = ipcw_weights(followed, y, horizon)
    duration = y["duration"]
    moments = status_times(duration, horizon)

    def train_share(terms: Floats) -> Floats:
        return censoring_influence(y_train, moments, terms / len(y))

    return _calibrate(
        _Judged(
            (y["event"] & (duration <= horizon)).astype(np.float64),
            weight,
            1.0 - predicted,
            "cloglog",
            train_share,
            same_outcomes(y_train, y),
            alpha,
            float(horizon),
        )
    )


def response_calibration(
    response: npt.ArrayLike, probability: npt.ArrayLike, alpha: float = 0.05
) -> CalibrationResult:
    """Calibration of predicted response probabilities, on the logit scale.

    logit P(response) = a + b logit(p): b is the slope; a with b fixed at 1 is the intercept.

    Parameters
    ----------
    response : array-like of bool or 0/1, shape (n_patients,)
    probability : array-like, shape (n_patients,)
        Predicted P(response), in [0, 1]; kept 1e-6 away from both ends.
    alpha : float

    Returns
    -------
    CalibrationResult

    Raises
    ------
    NotEstimableError
        If all responses or all predictions are alike, or the predictions separate the responses.

    References
    ----------
    Cox (1958), Biometrika 45. Van Calster et al. (2016), J. Clin. Epidemiol. 74.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.1, 0.9, size=5000)
    >>> round(response_calibration(rng.random(5000) < p, p).value, 1)
    1.0
    """
    outcome = check_response(response)
    predicted = check_probability("probability", probability, (len(outcome),))
    return _calibrate(
        _Judged(
            outcome.astype(np.float64),
            np.ones(len(outcome)),
            predicted,
            "logit",
            lambda terms: None,
            True,
            alpha,
            None,
        )
    )


def _calibrate(judged: _Judged) -> CalibrationResult:
    """Slope, intercept, O:E and curves from statuses, weights and predicted risks."""
    known = judged.weight > 0
    happened = int(judged.status[known].sum())
    if happened == 0 or happened == int(known.sum()):
        raise NotEstimableError(
            f"y must hold patients with and without the event; got {happened} with it among "
            f"{int(known.sum())} of known status. Choose another horizon."
        )
    x = _link(judged.risk, judged.link)
    if float(np.ptp(x[known])) <= 1e-9:
        raise NotEstimableError(
            "predicted risks must differ between patients; got one value for all. "
            "A slope needs predictions that vary."
        )
    n = len(x)
    line = np.column_stack([np.ones(n), x])
    slope = _coefficient(judged, line, np.zeros(n), 1, "calibration_slope")
    intercept = _coefficient(judged, np.ones((n, 1)), x, 0, "calibration_intercept")
    curve = _smooth(judged, x, happened)
    fitted = curve(x)
    distance = np.abs(fitted - judged.risk)
    edges = np.quantile(judged.risk, [0.01, 0.99])
    shown = np.linspace(float(edges[0]), float(edges[1]), _CURVE_POINTS)
    return CalibrationResult(
        slope,
        intercept,
        _observed_expected(judged),
        float(distance.mean()),
        float(np.quantile(distance, 0.5)),
        float(np.quantile(distance, 0.9)),
        shown,
        curve(_link(shown, judged.link)),
        _grouped(judged),
        n,
        judged.horizon,
        judged.link,
    )


def _link(risk: Floats, link: Link) -> Floats:
    """Risk on the link scale, kept away from 0 and 1."""
    p = np.clip(risk, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    return np.log(-np.log1p(-p)) if link == "cloglog" else np.log(p) - np.log1p(-p)


def _mean(eta: Floats, link: Link) -> tuple[Floats, Floats, Floats]:
    """Mean, its complement and the score factor (dmu/deta) / (mu (1 - mu))."""
    eta = np.clip(eta, -30.0, 30.0)
    if link == "logit":
        mu = 1.0 / (1.0 + np.exp(-eta))
        return mu, 1.0 / (1.0 + np.exp(eta)), np.ones_like(mu)
    hazard = np.exp(eta)
    mu = -np.expm1(-hazard)
    return mu, np.exp(-hazard), hazard / mu


def _log_likelihood(judged: _Judged, eta: Floats) -> float:
    """Weighted Bernoulli log-likelihood, concave in eta for both links."""
    mu, rest, _ = _mean(eta, judged.link)
    # log(1 - mu) = -hazard under cloglog, which must not be taken of a rest rounded to 0.
    log_rest = -np.exp(np.clip(eta, -30.0, 30.0)) if judged.link == "cloglog" else np.log(rest)
    terms = np.where(judged.status > 0, np.log(mu), log_rest)
    return float(judged.weight @ terms)


def _solve(judged: _Judged, design: Floats, offset: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted binary regression by Fisher scoring: coefficients, information, score terms.

    Steps are halved until the likelihood does not fall, because scoring alone may oscillate where
    predictions are extreme.
    """
    p = design.shape[1]
    beta = np.zeros(p)
    if p > 1:
        beta[1] = 1.0
    current = _log_likelihood(judged, design @ beta + offset)
    for _ in range(_MAX_STEPS):
        mu, rest, factor = _mean(design @ beta + offset, judged.link)
        terms = judged.weight * factor * (judged.status - mu)
        information = (design * (judged.weight * factor**2 * mu * rest)[:, None]).T @ design
        step = _newton_step(information, design.T @ terms)
        if float(np.abs(step).max()) < 1e-10:
            return beta, information, terms
        for _ in range(30):
            reached = _log_likelihood(judged, design @ (beta + step) + offset)
            if reached >= current - 1e-12 * abs(current):
                break
            step = step / 2.0
        beta, current = beta + step, reached
    raise NotEstimableError(
        f"the calibration model must converge; got none in {_MAX_STEPS} steps. The predictions "
        "separate the outcomes completely, or nearly so."
    )


def _newton_step(information: Floats, score: Floats) -> Floats:
    """Solve for a step; say so where the information is singular."""
    if not np.all(np.isfinite(information)) or np.linalg.cond(information) > 1e13:
        raise NotEstimableError(
            "the calibration model must have a finite solution; got a singular information "
            "matrix. The predictions separate the outcomes completely, or nearly so."
        )
    return np.asarray(np.linalg.solve(information, score), dtype=np.float64)


def _coefficient(
    judged: _Judged, design: Floats, offset: Floats, which: int, name: str
) -> MetricEstimate:
    """One coefficient with its sandwich interval."""
    beta, information, terms = _solve(judged, design, offset)
    n = len(terms)
    direction = design @ np.linalg.solve(information / n, np.eye(len(beta))[which])
    influence = direction * terms
    # Two estimated coefficients take their usual degrees of freedom.
    influence = influence * np.sqrt(n / max(n - design.shape[1], 1))
    return estimate(
        name,
        float(beta[which]),
        Influence(influence, judged.train_share(influence)),
        "identity",
        same_patients=judged.same_patients,
        alpha=judged.alpha,
        horizon=judged.horizon,
    )


def _observed_expected(judged: _Judged) -> MetricEstimate:
    """Weighted observed over mean predicted risk."""
    expected = float(judged.risk.mean())
    if expected <= 0.0:
        raise NotEstimableError("the mean predicted risk must be above 0; got 0.")
    terms = judged.weight * judged.status
    ratio = float(terms.mean()) / expected
    return estimate(
        "observed_expected",
        ratio,
        Influence((terms - ratio * judged.risk) / expected, judged.train_share(terms / expected)),
        "log",
        same_patients=judged.same_patients,
        alpha=judged.alpha,
        horizon=judged.horizon,
    )


def _smooth(judged: _Judged, x: Floats, happened: int) -> Callable[[Floats], Floats]:
    """Observed risk as a smooth function of the predicted: spline where the data carry it."""
    knots = np.asarray(np.quantile(x, [0.05, 0.35, 0.65, 0.95]), dtype=np.float64)
    rare = min(happened, int((judged.weight > 0).sum()) - happened)
    n = len(x)
    spread = float(np.ptp(x))
    if rare >= 20 and np.all(np.diff(knots) > 1e-3 * spread):
        try:
            design = np.column_stack([np.ones(n), x, _spline(x, knots)])
            beta, _, _ = _solve(judged, design, np.zeros(n))
        except NotEstimableError:
            pass
        else:
            return lambda at: _mean(
                np.column_stack([np.ones(len(at)), at, _spline(at, knots)]) @ beta, judged.link
            )[0]
    line, _, _ = _solve(judged, np.column_stack([np.ones(n), x]), np.zeros(n))
    return lambda at: _mean(line[0] + line[1] * at, judged.link)[0]


def _spline(x: Floats, knots: Floats) -> Floats:
    """Restricted cubic spline terms beyond the linear one, scaled to the knots' span."""

    def cube(knot: float) -> Floats:
        return np.maximum(x - knot, 0.0) ** 3

    last, before = float(knots[-1]), float(knots[-2])
    span = (last - float(knots[0])) ** 2
    columns = [
        cube(k)
        - cube(before) * (last - k) / (last - before)
        + cube(last) * (before - k) / (last - before)
        for k in map(float, knots[:-2])
    ]
    return np.column_stack(columns) / span


def _grouped(judged: _Judged, n_groups: int = 5) -> CalibrationGroups:
    """Observed risk by fifths of predicted risk."""
    from biomarker.metrics.estimate import interval

    cuts = np.unique(np.quantile(judged.risk, np.linspace(0, 1, n_groups + 1)[1:-1]))
    code = np.searchsorted(cuts, judged.risk, side="right")
    rows = []
    for label in np.unique(code):
        inside = code == label
        weight, status = judged.weight[inside], judged.status[inside]
        total = float(weight.sum())
        if total <= 0:
            continue
        share = float(weight @ status) / total
        error = float(np.sqrt(((weight * (status - share)) ** 2).sum())) / total
        low, high = interval(share, error, "logit", judged.alpha)
        bounds = [np.nan if b is None else b for b in (low, high)]
        rows.append([float(judged.risk[inside].mean()), share, *bounds, float(inside.sum())])
    table = np.array(rows)
    return CalibrationGroups(
        table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4].astype(np.int64)
    )
