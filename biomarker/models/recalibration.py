"""From a cross-fitted margin to probabilities: one intercept, slope and scale by likelihood.

The slope is kept in [0, 5], never reversing what the margin says, and is drawn towards 1 by a
normal prior of deviation 1, which settles margins too flat to say and yields to a few events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.models.cox_loss import MAX_SLOPE, CoxLoss
from biomarker.models.protocol import FloatArray

__all__ = [
    "AFT_DISTRIBUTIONS",
    "HAZARD_KNOTS",
    "Distribution",
    "calibrate_log_odds",
    "calibrate_log_time",
    "location_scale_hazard",
    "observed_hazard",
    "recalibrated_survival",
]

Distribution = Literal["normal", "logistic", "extreme"]
AFT_DISTRIBUTIONS: tuple[Distribution, ...] = ("normal", "logistic", "extreme")

# Predicted probabilities of an event at which curves are compared with what happened: fixed
# numbers, so that no patient's own residual is kept.
HAZARD_KNOTS: FloatArray = -np.log1p(
    -np.array([0.0, 0.01, 0.02, *(np.arange(1, 20) / 20), 0.98, 0.99])
)


def calibrate_log_odds(
    margin: FloatArray, y: npt.NDArray[np.bool_], weight: FloatArray
) -> tuple[float, float]:
    """Intercept and slope of the log odds of response on a cross-fitted margin.

    Maximum likelihood with the slope in [0, 5] and drawn towards 1 as by a normal prior of
    deviation 1; the intercept is free, so mean prediction and prevalence agree.
    """
    from scipy.special import expit

    target = y.astype(np.float64)

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        eta = theta[0] + theta[1] * margin
        residual = weight * (expit(eta) - target)
        value = weight @ (np.logaddexp(0.0, eta) - target * eta) + 0.5 * (theta[1] - 1.0) ** 2
        return float(value), np.array([residual.sum(), residual @ margin + theta[1] - 1.0])

    theta = _minimise(loss, [0.0, 1.0], [(None, None), (0.0, MAX_SLOPE)])
    return float(theta[0]), float(theta[1])


def calibrate_log_time(
    margin: FloatArray,
    log_time: FloatArray,
    event: npt.NDArray[np.bool_],
    weight: FloatArray,
    distribution: Distribution,
) -> tuple[float, float, float, float]:
    """Location, slope, log scale and log-likelihood of log time on a cross-fitted margin.

    Censored maximum likelihood of log T = location + slope * margin + scale * error, the slope as
    in :func:`calibrate_log_odds`.
    """

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        scale = np.exp(theta[2])
        z = (log_time - theta[0] - theta[1] * margin) / scale
        density, survival, d_density, d_survival = _standard(z, distribution)
        value = weight @ np.where(event, density - theta[2], survival)
        slope = weight * np.where(event, d_density, d_survival)
        gradient = [
            slope.sum() / scale,
            (slope @ margin) / scale + theta[1] - 1.0,
            slope @ z + weight @ event,
        ]
        return float(0.5 * (theta[1] - 1.0) ** 2 - value), np.array(gradient)

    start = [float(np.average(log_time, weights=weight)), 1.0, 0.0]
    bounds = [(None, None), (0.0, MAX_SLOPE), (-7.0, 7.0)]
    theta = _minimise(loss, start, bounds)
    return float(theta[0]), float(theta[1]), float(theta[2]), -loss(theta)[0]


def location_scale_hazard(z: FloatArray, distribution: Distribution) -> FloatArray:
    """Cumulative hazard of the standard error distribution, at least 0 and rising in z."""
    from scipy.special import log_ndtr

    if distribution == "normal":
        hazard: FloatArray = -log_ndtr(-z)
        return hazard
    if distribution == "logistic":
        return np.logaddexp(0.0, z)
    with np.errstate(over="ignore"):
        return np.exp(z)


def observed_hazard(
    hazard: FloatArray, event: npt.NDArray[np.bool_], weight: FloatArray
) -> FloatArray:
    """Hazard observed by the time a model predicts each of ``HAZARD_KNOTS``.

    A patient's predicted hazard at the end of follow-up is a censored unit-exponential draw if the
    model is right (a Cox-Snell residual), and its Nelson-Aalen estimate the identity. Where it is
    not, the estimate says what to put in the place of each predicted value. Beyond the last event
    it goes on at the predicted pace.
    """
    times, jumps = CoxLoss(hazard, event, weight).baseline(np.zeros(len(hazard)))
    total = np.concatenate([[0.0], np.cumsum(jumps)])
    reached: FloatArray = total[np.searchsorted(times, HAZARD_KNOTS, side="right")]
    return reached + np.maximum(HAZARD_KNOTS - times[-1], 0.0)


def recalibrated_survival(hazard: FloatArray, observed: FloatArray) -> FloatArray:
    """Survival at predicted hazards, each replaced by what was observed there."""
    beyond = np.maximum(hazard - HAZARD_KNOTS[-1], 0.0)
    survival: FloatArray = np.exp(-np.interp(hazard, HAZARD_KNOTS, observed) - beyond)
    return survival


def _standard(
    z: FloatArray, distribution: Distribution
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Log density, log survival, and the derivatives of both, of the standard distribution."""
    from scipy.special import expit, log_ndtr

    if distribution == "normal":
        density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        survival = log_ndtr(-z)
        return density, survival, -z, -np.exp(density - survival)
    if distribution == "logistic":
        tail = np.logaddexp(0.0, z)
        return z - 2 * tail, -tail, 1 - 2 * expit(z), -expit(z)
    hazard = np.exp(np.minimum(z, 700.0))
    return z - hazard, -hazard, 1 - hazard, -hazard


def _minimise(
    loss: Callable[[FloatArray], tuple[float, FloatArray]],
    start: list[float],
    bounds: list[tuple[float | None, float | None]],
) -> FloatArray:
    """Minimum of a smooth function of a few parameters, or NotEstimableError."""
    from scipy.optimize import minimize

    with np.errstate(over="ignore", invalid="ignore"):
        found = minimize(
            loss,
            np.array(start),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500},
        )
    # An "abnormal" end only says that the line search met rounding; a non-finite one is real.
    if not (np.isfinite(found.x).all() and np.isfinite(found.fun)):
        raise NotEstimableError(
            "the calibration of a boosted model must have a maximum; got a diverging one. "
            "Use fewer features or more patients."
        )
    return np.asarray(found.x)
