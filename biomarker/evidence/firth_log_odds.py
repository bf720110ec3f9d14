r"""Logistic regression by Firth's penalised likelihood, on many sets of responses at once.

.. math:: \ell^*(\beta) = \ell(\beta) + \tfrac12 \log \det I(\beta)

Finite where a group holds responders only, or none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from biomarker.evidence.log_odds import LogOddsFits, climbed, column_size

__all__ = ["fit_firth_log_odds"]

Floats = npt.NDArray[np.float64]


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
    start : ndarray, shape (n_columns,) or (n_replicates, n_columns), optional
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
    Y = np.ascontiguousarray(responses, dtype=np.bool_)
    size = column_size(X)
    if np.linalg.matrix_rank(X) < X.shape[1]:
        B, p = len(Y), X.shape[1]
        nothing = np.full((B, p, p), np.nan)
        return LogOddsFits(np.zeros((B, p)), np.full(B, np.nan), nothing, np.zeros(B, dtype=bool))
    picked = None if free is None else np.asarray(free, dtype=np.int64)
    scaled = np.ascontiguousarray(X / size)
    fits = climbed(scaled, Y, start, size, None, np.ones(len(X)), picked, firth=True)
    return replace(
        fits,
        coefficients=fits.coefficients / size,
        information=fits.information * np.outer(size, size),
    )
