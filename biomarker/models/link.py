r"""What a model predicts at a margin: every model of the zoo is one curve of one number.

.. math:: S(t \mid x) = G(t, m(x)), \qquad P(\text{response} \mid x) = G(m(x))

with :math:`m` the model's ``predict_margin``. Whoever asks what many margins would give, without
patients that have them, asks here; a test holds every model's own predictions against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.models.protocol import FloatArray, check_times
from biomarker.models.recalibration import location_scale_hazard, recalibrated_survival

__all__ = ["mean_time_rule", "response_at_margin", "survival_at_margin"]

# Points of a Gauss-Legendre rule for each stretch on which a curve is smooth.
_POINTS = 4
_SMOOTH_CELLS = 128


def survival_at_margin(model: Any, margin: npt.ArrayLike, times: npt.ArrayLike) -> FloatArray:
    """Survival curves of patients with these margins.

    Parameters
    ----------
    model : fitted survival model of the zoo
        Not stratified.
    margin : array-like of float, shape (n,)
        On ``model.margin_scale``; higher = worse.
    times : array-like of float, shape (n_times,)
        At least 0, in the unit of the durations.

    Returns
    -------
    ndarray, shape (n, n_times)
        Probability of no event up to each time; what ``predict_survival`` gives such a patient.

    Raises
    ------
    NotEstimableError
        If the margin alone does not decide the curve.

    Examples
    --------
    >>> from biomarker.models import CoxRegression
    >>> from biomarker.outcomes import survival_outcome
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 1))
    >>> model = CoxRegression().fit(X, survival_outcome(np.ones(50), rng.exponential(size=50)))
    >>> found = survival_at_margin(model, model.predict_margin(X), [0.5])
    >>> bool(np.allclose(found, model.predict_survival(X, [0.5])))
    True
    """
    m, horizons = np.asarray(margin, dtype=np.float64), check_times(times)
    with np.errstate(divide="ignore", over="ignore"):
        match type(model).__name__:
            case "CoxRegression":
                shift = float(model.intercept_) + float(model.center_ @ model.coef_)
                return _proportional(m - shift, _baseline(model).at(horizons))
            case "BoostedCox":
                hazard = np.interp(horizons, model.baseline_times_, model.baseline_hazard_)
                return _proportional(model.calibration_slope_ * (m - model.margin_center_), hazard)
            case "WeibullAFT":
                at_zero = np.exp(model.log_shape_) * (np.log(horizons) - model.log_time_intercept_)
                with np.errstate(invalid="ignore"):
                    return np.exp(-np.exp((m - model.intercept_)[:, None] + at_zero))
            case "BoostedAFT":
                location = model.location_ - model.calibration_slope_ * m
                z = (np.log(horizons) - location[:, None]) / np.exp(model.log_scale_)
                hazards = location_scale_hazard(z, model.curve_distribution_)
                return recalibrated_survival(hazards, model.observed_hazard_)
    raise _unknown(model, "a survival model")


def response_at_margin(model: Any, margin: npt.ArrayLike) -> FloatArray:
    """Probability of response at these margins, shape (n,); as ``predict_response`` gives it."""
    from scipy.special import expit

    m = np.asarray(margin, dtype=np.float64)
    match type(model).__name__:
        case "LogisticResponse":
            found: FloatArray = expit(m)
            return found
        case "BoostedResponse":
            raw = model.contribution_sign * m
            return np.asarray(expit(model.calibration_intercept_ + model.calibration_slope_ * raw))
    raise _unknown(model, "a response model")


def mean_time_rule(model: Any, limit: float) -> tuple[FloatArray, FloatArray]:
    r"""Times and weights whose weighted sum of a curve is its restricted mean.

    .. math:: \int_0^\tau S(t \mid x)\,dt = \sum_i w_i\, S(t_i \mid x)

    Parameters
    ----------
    model : fitted survival model of the zoo
    limit : float
        :math:`\tau` above 0, in the unit of the durations.

    Returns
    -------
    times, weights : ndarray, shape (n,)
        Exact for the steps of a Cox curve. For the others four Gauss-Legendre points on each
        stretch between the baseline's points, or on 128 stretches that shorten towards 0.

    Raises
    ------
    ValueError
        If the limit is not finite and above 0.
    """
    if not (np.isfinite(limit) and limit > 0):
        raise ValueError(f"limit must be finite and above 0; got {limit}. Give a time.")
    kind = type(model).__name__
    if kind == "CoxRegression" and not _baseline(model).interpolated:
        known = _baseline(model).time
        edges = np.concatenate([[0.0], known[(known > 0) & (known < limit)], [limit]])
        return edges[:-1], np.diff(edges)
    if kind in ("CoxRegression", "BoostedCox"):
        known = model.baseline_times_ if kind == "BoostedCox" else _baseline(model).time
        edges = np.concatenate([[0.0], known[(known > 0) & (known < limit)], [limit]])
    elif kind in ("WeibullAFT", "BoostedAFT"):
        edges = limit * np.linspace(0.0, 1.0, _SMOOTH_CELLS + 1) ** 3
    else:
        raise _unknown(model, "a survival model")
    at, weight = np.polynomial.legendre.leggauss(_POINTS)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1 + at)).ravel(), (half * weight).ravel()


def _proportional(log_relative: FloatArray, hazard: FloatArray) -> FloatArray:
    """Proportional hazards curves; a zero hazard times an overflowed risk is still zero."""
    with np.errstate(invalid="ignore"):
        exponent = np.exp(log_relative)[:, None] * hazard
    found: FloatArray = np.exp(-np.where(hazard == 0, 0.0, exponent))
    return found


def _baseline(model: Any) -> Any:
    """The one baseline hazard of a Cox model."""
    if model.strata_ is not None:
        raise NotEstimableError(
            f"strata must be absent for a curve at a margin; got {len(model.strata_)} strata, each "
            "with a baseline of its own. Fit the strata as a covariate."
        )
    return model._baselines[0]


def _unknown(model: Any, wanted: str) -> NotEstimableError:
    return NotEstimableError(
        f"model must be {wanted} of the zoo; got {type(model).__name__}. Its predictions are not "
        "known to be a function of one margin."
    )
