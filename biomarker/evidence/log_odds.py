"""Logistic regression of one design on many sets of responses at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LogOddsFits", "fit_log_odds"]

Floats = npt.NDArray[np.float64]

_STEPS = 60  # a separated fit climbs on for as long as this
_CELLS = 2_000_000  # responses x columns held at a time
_LEAST = 1e-7  # information left, of what even odds would give, below which a fit ran away


@dataclass(frozen=True, eq=False)
class LogOddsFits:
    """B fits.

    Attributes
    ----------
    coefficients : ndarray, shape (n_replicates, n_columns)
        Log odds ratios of response; where not converged, as far as the climb came.
    log_likelihood : ndarray, shape (n_replicates,)
        At the maximum, or as high as the climb came.
    information : ndarray, shape (n_replicates, n_columns, n_columns)
    converged : ndarray of bool, shape (n_replicates,)
        Whether a finite maximum was reached; False where responses are separated.
    """

    coefficients: Floats
    log_likelihood: Floats
    information: Floats
    converged: npt.NDArray[np.bool_]


def fit_log_odds(
    X: Floats,
    responses: npt.ArrayLike,
    offset: Floats | None = None,
    weight: Floats | None = None,
) -> LogOddsFits:
    """Fit logistic regressions by Newton steps, halved until the likelihood rises.

    Parameters
    ----------
    X : ndarray, shape (n_patients, n_columns)
        Intercept included.
    responses : array-like of bool, shape (n_replicates, n_patients)
    offset : ndarray, shape (n_patients,), optional
        Added to every log odds.
    weight : ndarray, shape (n_patients,), optional
        Case weights.

    Returns
    -------
    LogOddsFits

    Examples
    --------
    >>> fit = fit_log_odds(np.ones((4, 1)), [[True, False, False, False]])
    >>> fit.coefficients.round(4).tolist()
    [[-1.0986]]
    """
    Y = np.asarray(responses, dtype=np.float64)
    n, p = X.shape
    shift = np.zeros(n) if offset is None else offset
    w = np.ones(n) if weight is None else weight
    size = np.sqrt(np.mean(X**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    share = max(1, _CELLS // max(1, n * p))
    parts = [_climb(X / size, Y[low : low + share], shift, w) for low in range(0, len(Y), share)]
    coef, height, information, converged = (
        np.concatenate(list(part)) for part in zip(*parts, strict=True)
    )
    return LogOddsFits(coef / size, height, information * np.outer(size, size), converged)


def _climb(
    X: Floats, Y: Floats, shift: Floats, w: Floats
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """Newton's method on all replicates together, on columns of size one."""
    B, p = len(Y), X.shape[1]
    coef = np.zeros((B, p))
    height, slope, information = _state(X, Y, shift, w, coef)
    settled = np.zeros(B, dtype=np.bool_)
    for _ in range(_STEPS):
        going = np.flatnonzero(~settled)
        if len(going) == 0:
            break
        ridge = 1e-10 * np.eye(p)
        step = np.linalg.solve(information[going] + ridge, slope[going][:, :, None])[:, :, 0]
        # Where information has all but vanished a step means nothing: it is kept short.
        length = np.max(np.abs(step), axis=1, keepdims=True) if p else np.zeros((len(going), 1))
        step *= np.minimum(1.0, 4.0 / np.maximum(length, 1e-300))
        fraction = np.ones(len(going))
        for _ in range(25):
            trial = coef[going] + fraction[:, None] * step
            there = _height(X, Y[going], shift, w, trial)
            low = there < height[going] - 1e-12 * (1.0 + np.abs(height[going]))
            if not low.any():
                break
            fraction[low] *= 0.5
        coef[going] = trial
        height[going], slope[going], information[going] = _state(X, Y[going], shift, w, trial)
        settled[going] = length[:, 0] < 1e-9
    least = np.linalg.eigvalsh(information)[:, 0] if p else np.ones(B)
    none = np.linalg.eigvalsh(X.T @ (w[:, None] * X) / 4.0)[0] if p else 1.0
    return coef, height, information, settled & (least > _LEAST * none)


def _height(X: Floats, Y: Floats, shift: Floats, w: Floats, coef: Floats) -> Floats:
    """Log-likelihood of each replicate."""
    eta = coef @ X.T + shift
    value: Floats = (Y * eta - np.logaddexp(0.0, eta)) @ w
    return value


def _state(
    X: Floats, Y: Floats, shift: Floats, w: Floats, coef: Floats
) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood, gradient and information of each replicate."""
    eta = coef @ X.T + shift
    chance = 0.5 * (1.0 + np.tanh(0.5 * eta))
    slope = ((Y - chance) * w) @ X
    p = X.shape[1]
    products = (X[:, :, None] * X[:, None, :]).reshape(len(X), p * p)
    information = ((chance * (1.0 - chance) * w) @ products).reshape(len(Y), p, p)
    return (Y * eta - np.logaddexp(0.0, eta)) @ w, slope, information
