"""Where Cox and logistic fits of too small a model converge, from expected counts per group."""

from __future__ import annotations

import numpy as np

from synthetic_data.table import Floats

__all__ = ["cox_limit", "logistic_limit"]

_STEPS = 60
_TOLERANCE = 1e-11


def cox_limit(x: Floats, at_risk: Floats, events: Floats) -> Floats:
    """Coefficients a Cox fit converges to as patients become many (Struthers and Kalbfleisch 1986).

    Solves ``sum_t sum_g events[g, t] (x_g - E_t[x]) = 0`` where E_t weighs groups by
    ``at_risk[g, t] * exp(x_g b)``.

    Parameters
    ----------
    x : ndarray, shape (n_groups, n_features)
        Covariates of each group of patients.
    at_risk : ndarray, shape (n_groups, n_times)
        Expected number at risk in each interval.
    events : ndarray, shape (n_groups, n_times)
        Expected number of events in each interval.

    Returns
    -------
    ndarray, shape (n_features,)
        Log hazard ratios; higher = worse.

    Examples
    --------
    >>> risk = np.array([[100.0, 80.0], [100.0, 60.0]])
    >>> cox_limit(np.array([[0.0], [1.0]]), risk, 0.1 * risk * [[1.0], [2.0]]).round(6).tolist()
    [0.693147]
    """
    beta = np.zeros(x.shape[1])
    per_time, per_group = events.sum(axis=0), events.sum(axis=1)
    observed = per_group @ x
    for _ in range(_STEPS):
        weight = at_risk * np.exp(x @ beta)[:, None]
        weight /= np.maximum(weight.sum(axis=0), 1e-300)
        mean = x.T @ weight
        score = observed - mean @ per_time
        square = (x * (weight @ per_time)[:, None]).T @ x
        information = square - (mean * per_time) @ mean.T
        step = np.linalg.solve(information, score)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < _TOLERANCE:
            break
    return np.asarray(beta)


def logistic_limit(x: Floats, n: Floats, positive: Floats) -> Floats:
    """Coefficients a logistic fit converges to, intercept first.

    Parameters
    ----------
    x : ndarray, shape (n_groups, n_features)
        Covariates of each group.
    n, positive : ndarray, shape (n_groups,)
        Expected patients and responders.
    """
    full = np.column_stack([np.ones(len(x)), x])
    beta = np.zeros(full.shape[1])
    for _ in range(_STEPS):
        fitted = 1.0 / (1.0 + np.exp(-(full @ beta)))
        information = (full * (n * fitted * (1.0 - fitted))[:, None]).T @ full
        step = np.linalg.solve(information, full.T @ (positive - n * fitted))
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < _TOLERANCE:
            break
    return np.asarray(beta)
