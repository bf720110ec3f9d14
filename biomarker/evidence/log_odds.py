"""Logistic regression of one design on many sets of responses at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["LogOddsFits", "climbed", "column_size", "fit_log_odds"]

Floats = npt.NDArray[np.float64]

_STEPS = 60  # a separated fit climbs on for as long as this
_STEPS_FIRTH = 100
_LONGEST = 4.0  # of one step, on columns of size one
_SETTLED, _SETTLED_FIRTH = 1e-7, 1e-9  # Newton squares what is left; without curvature it does not
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
    start: Floats | None = None,
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
    start : ndarray, shape (n_columns,) or (n_replicates, n_columns), optional
        Where climbs start; zero by default.

    Returns
    -------
    LogOddsFits

    Examples
    --------
    >>> fit = fit_log_odds(np.ones((4, 1)), [[True, False, False, False]])
    >>> fit.coefficients.round(4).tolist()
    [[-1.0986]]
    """
    Y = np.ascontiguousarray(responses, dtype=np.bool_)
    n, p = X.shape
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    size = column_size(X)
    scaled = np.ascontiguousarray(X / size)
    fits = climbed(scaled, Y, start, size, offset, w, None, firth=False)
    if p:
        least = np.linalg.eigvalsh(fits.information)[:, 0]
        floor = _LEAST * np.linalg.eigvalsh(scaled.T @ (w[:, None] * scaled) / 4.0)[0]
        fits = replace(fits, converged=fits.converged & (least > floor))
    return replace(
        fits,
        coefficients=fits.coefficients / size,
        information=fits.information * np.outer(size, size),
    )


def column_size(X: Floats) -> Floats:
    """Root mean square of each column, 1 for columns of zeros."""
    size = np.sqrt(np.mean(X**2, axis=0))
    return np.where(size > 0, size, 1.0)


def climbed(
    scaled: Floats,
    Y: npt.NDArray[np.bool_],
    start: Floats | None,
    size: Floats,
    offset: Floats | None,
    weight: Floats,
    free: npt.NDArray[np.int64] | None,
    firth: bool,
) -> LogOddsFits:
    """Run the compiled climbs on columns of size one, from starts on the caller's units."""
    from biomarker.evidence.log_odds_kernel import climb_many

    (n, p), B = scaled.shape, len(Y)
    coef = np.zeros((B, p))
    if start is not None:
        coef += start * size
    height, information = np.empty(B), np.empty((B, p, p))
    settled = np.zeros(B, dtype=np.bool_)
    climb_many(
        scaled, Y,
        np.zeros(n) if offset is None else np.asarray(offset, dtype=np.float64), weight,
        np.arange(p) if free is None else free, firth,
        _STEPS_FIRTH if firth else _STEPS, _LONGEST, _SETTLED_FIRTH if firth else _SETTLED,
        coef, height, information, settled,
    )  # fmt: skip
    return LogOddsFits(coef, height, information, settled)
