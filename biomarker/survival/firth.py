r"""Cox regression by Firth's penalised likelihood: finite where the plain estimate runs away.

.. math:: \ell^*(\beta) = \ell(\beta) + \tfrac12 \log \det I(\beta)

The penalty removes the first-order bias and keeps estimates finite when no patient of some group
had the event. Likelihood ratios hold a coefficient and keep the full model's penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.partial_likelihood_inputs import feature_table, same_length, strata_codes

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import Ties

__all__ = ["FirthFit", "firth_fit", "firth_likelihood_ratios"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FirthFit:
    """A penalised maximum.

    Attributes
    ----------
    coefficients : ndarray, shape (n_features,)
        Log hazard ratios on the caller's units, higher = worse.
    information : ndarray, shape (n_features, n_features)
        Of the plain likelihood, at ``coefficients``.
    log_likelihood : float
        Penalised, on columns of standard deviation 1; only differences mean something.
    """

    coefficients: Floats
    information: Floats
    log_likelihood: float


def firth_fit(
    X: npt.ArrayLike,
    y: SurvivalOutcome,
    *,
    held: dict[int, float] | None = None,
    start: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
    ties: Ties = "efron",
) -> FirthFit:
    """Maximise the penalised partial likelihood, some coefficients held if wanted.

    Parameters
    ----------
    X : array-like, shape (n_patients, n_features)
        Finite numbers.
    y : structured array, shape (n_patients,)
    held : dict of int to float, optional
        Column to the coefficient it is held at; its penalty stays that of all columns.
    start : array-like, shape (n_features,), optional
    strata : array-like, shape (n_patients,), optional
    ties : {"efron", "breslow"}

    Returns
    -------
    FirthFit

    Raises
    ------
    NotEstimableError
        Without events, or with columns that depend on one another within the risk sets.

    Notes
    -----
    Two sweeps of n p^2 a step; steps leave the penalty's curvature out, so some more of them than
    Newton's are needed.

    References
    ----------
    Firth (1993), Biometrika 80:27. Heinze and Schemper (2001), Biometrics 57:114.

    Examples
    --------
    One of two patients dies first: the plain estimate is infinite, the penalised one log 3.

    >>> from biomarker.outcomes import survival_outcome
    >>> y = survival_outcome([1, 1], [1.0, 2.0])
    >>> round(float(np.exp(firth_fit([[1.0], [0.0]], y).coefficients[0])), 6)
    3.0
    """
    from biomarker.survival.firth_kernel import climb

    table, outcome = feature_table(X), check_survival_outcome(y)
    same_length(table, outcome)
    n, p = table.shape
    _, codes = strata_codes(strata, n)
    rows, scale = _scaled(table)
    order, event, fresh, last = _layout(
        outcome["duration"][None, :], outcome["event"][None, :], codes
    )
    fixed = held or {}
    begun = np.zeros(p) if start is None else np.asarray(start, dtype=np.float64) * scale
    for column, value in fixed.items():
        begun[column] = value * scale[column]
    free = np.array([j for j in range(p) if j not in fixed], dtype=np.int64)
    coef, information, height, status = climb(
        rows[order[0]], event[0], fresh[0], last[0], begun, free, ties == "efron"
    )
    if status:
        why = {1: "no event", 2: "dependent columns"}.get(int(status), "a fit that does not settle")
        raise NotEstimableError(
            f"X must have independent columns and y events; got {why} in {n} patient(s)."
        )
    return FirthFit(coef / scale, information * np.outer(scale, scale), float(height))


def firth_likelihood_ratios(
    X: npt.ArrayLike,
    duration: Floats,
    event: npt.NDArray[np.bool_],
    *,
    n_null: int,
    start: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
    ties: Ties = "efron",
) -> Floats:
    """Penalised likelihood ratios of the columns past ``n_null``, for many outcomes.

    Parameters
    ----------
    X : array-like, shape (n_patients, n_features)
        Null columns first.
    duration, event : ndarray, shape (n_replicates, n_patients)
    n_null : int
    start : array-like, shape (n_features,), optional
        Null coefficients, then zeros.
    strata, ties
        As in :func:`firth_fit`.

    Returns
    -------
    ndarray, shape (n_replicates,)
        At least 0; 0 where nothing could be fitted, infinite where a climb did not settle: each can
        only make the data's own ratio look less rare.
    """
    from biomarker.survival.firth_kernel import climb_many

    table = feature_table(X)
    n, p = table.shape
    _, codes = strata_codes(strata, n)
    rows, scale = _scaled(table)
    begun = np.zeros(p) if start is None else np.asarray(start, dtype=np.float64) * scale
    order, died, fresh, last = _layout(duration, event, codes)
    B = len(order)
    full, null, status = np.full(B, np.nan), np.full(B, np.nan), np.zeros(B, dtype=np.int64)
    climb_many(rows, order, died, fresh, last, begun, n_null, ties == "efron", full, null, status)
    ratio = np.maximum(2.0 * (full - null), 0.0)
    ratio = np.where((status == 1) | (status == 2) | np.isnan(ratio), 0.0, ratio)
    return np.where(status == 4, np.inf, ratio)


def _scaled(table: Floats) -> tuple[Floats, Floats]:
    """Centred columns of standard deviation 1, and what they were divided by."""
    scale = table.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return np.ascontiguousarray((table - table.mean(axis=0)) / scale), scale


def _layout(
    duration: Floats, event: npt.NDArray[np.bool_], codes: Ints | None
) -> tuple[Ints, npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Row order, events, and where strata begin and times end, of each replicate."""
    B, n = duration.shape
    stratum = np.zeros(n, dtype=np.int64) if codes is None else codes
    order = np.empty((B, n), dtype=np.int64)
    for b in range(B):
        order[b] = np.lexsort((-duration[b], stratum))
    time = np.take_along_axis(duration, order, axis=1)
    group = stratum[order]
    fresh = np.ones((B, n), dtype=np.bool_)
    fresh[:, 1:] = group[:, 1:] != group[:, :-1]
    last = np.ones((B, n), dtype=np.bool_)
    last[:, :-1] = (time[:, 1:] != time[:, :-1]) | fresh[:, 1:]
    return order, np.take_along_axis(np.asarray(event, dtype=np.bool_), order, axis=1), fresh, last
