r"""Logistic regression by Firth's penalised likelihood, on many sets of responses at once.

.. math:: \ell^*(\beta) = \ell(\beta) + \tfrac12 \log \det I(\beta)

Finite where a group holds responders only, or none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.evidence.log_odds import LogOddsFits

__all__ = ["fit_firth_log_odds"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS = 80
_LONGEST = 3.0
_CELLS = 2_000_000


def fit_firth_log_odds(
    X: Floats,
    responses: npt.ArrayLike,
    free: npt.ArrayLike | None = None,
    start: Floats | None = None,
) -> LogOddsFits:
    """Maximise the penalised likelihood, columns outside ``free`` held where they start.

    Parameters
    ----------
    X : ndarray, shape (n_patients, n_columns)
        Intercept included.
    responses : array-like of bool, shape (n_replicates, n_patients)
    free : array-like of int, optional
        Columns to fit; all by default. The penalty is always that of all columns.
    start : ndarray, shape (n_columns,), optional
        Zero by default.

    Returns
    -------
    LogOddsFits
        ``log_likelihood`` is the penalised one, on columns of size 1; ``converged`` is False where
        columns depend on one another.

    References
    ----------
    Firth (1993), Biometrika 80:27. Heinze and Schemper (2002), Statistics in Medicine 21:2409.

    Examples
    --------
    Half a patient is added to each kind, in effect: log (3.5 / 0.5).

    >>> fit = fit_firth_log_odds(np.ones((3, 1)), [[True, True, True]])
    >>> round(float(np.exp(fit.coefficients[0, 0])), 6)
    7.0
    """
    Y = np.asarray(responses, dtype=np.float64)
    n, p = X.shape
    size = np.sqrt(np.mean(X**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    picked: Ints = np.arange(p) if free is None else np.asarray(free, dtype=np.int64)
    begun = np.zeros(p) if start is None else start * size
    share = max(1, _CELLS // max(1, n * p))
    parts = [
        _climb(X / size, Y[low : low + share], picked, begun) for low in range(0, len(Y), share)
    ]
    coef, height, information, converged = (
        np.concatenate(list(part)) for part in zip(*parts, strict=True)
    )
    return LogOddsFits(coef / size, height, information * np.outer(size, size), converged)


def _climb(
    X: Floats, Y: Floats, free: Ints, begun: Floats
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """Scoring steps on all replicates together, halved until the penalised likelihood rises."""
    B, p = len(Y), X.shape[1]
    coef = np.tile(begun, (B, 1))
    if np.linalg.matrix_rank(X) < p:
        return coef, np.full(B, np.nan), np.full((B, p, p), np.nan), np.zeros(B, dtype=np.bool_)
    height, slope, information = _state(X, Y, coef)
    settled = np.zeros(B, dtype=np.bool_)
    for _ in range(_STEPS):
        going = np.flatnonzero(~settled & np.isfinite(height))
        if len(going) == 0 or len(free) == 0:
            settled[going] = True
            break
        matrix = information[going][:, free[:, None], free[None, :]]
        matrix = matrix + 1e-12 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(
            len(free)
        )
        move = np.linalg.solve(matrix, slope[going][:, free, None])[:, :, 0]
        longest = np.max(np.abs(move), axis=1, keepdims=True)
        move *= np.minimum(1.0, _LONGEST / np.maximum(longest, 1e-300))
        step = np.zeros((len(going), p))
        step[:, free] = move
        fraction = np.ones(len(going))
        for _ in range(25):
            trial = coef[going] + fraction[:, None] * step
            there, gradient, matrices = _state(X, Y[going], trial)
            low = ~(there >= height[going] - 1e-11 * (1.0 + np.abs(height[going])))
            if not low.any():
                break
            fraction[low] *= 0.5
        coef[going], height[going] = trial, there
        slope[going], information[going] = gradient, matrices
        settled[going] = longest[:, 0] < 1e-8
    return coef, height, information, settled


def _state(X: Floats, Y: Floats, coef: Floats) -> tuple[Floats, Floats, Floats]:
    """Penalised log-likelihood, its gradient, and the information, of each replicate."""
    eta = coef @ X.T
    chance = 0.5 * (1.0 + np.tanh(0.5 * eta))
    spread = chance * (1.0 - chance)
    p = X.shape[1]
    products = (X[:, :, None] * X[:, None, :]).reshape(len(X), p * p)
    information = (spread @ products).reshape(len(Y), p, p)
    sign, size = np.linalg.slogdet(information)
    height = np.where(
        sign > 0, (Y * eta - np.logaddexp(0.0, eta)).sum(axis=1) + 0.5 * size, -np.inf
    )
    usable = np.where((sign > 0)[:, None, None], information, np.eye(p))
    leverage = spread * (np.linalg.inv(usable).reshape(len(Y), p * p) @ products.T)
    slope = (Y - chance + leverage * (0.5 - chance)) @ X
    return height, slope, information
